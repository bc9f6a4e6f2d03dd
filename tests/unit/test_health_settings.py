"""Sections [check NAME]: what an administrator writes, what it means, and what he is told when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from heartbeat import settings
from heartbeat.configuration import Configuration, ConfigurationError, changes, load, packed, show, unpacked
from heartbeat.control import REQUEST_SIZE
from heartbeat.health import options, progress, section
from heartbeat.health.definition import KINDS, MEASURES, Check

WEB = "[check web]\nkind = exec\ncommand = /usr/bin/check\n"
QUEUE = "[check queue]\nkind = file\npath = /run/queue\n"
DISKS = "[check disks]\nkind = builtin\nmeasure = filesystems\nlimit = 95\n"


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Configuration:
        path = tmp_path / "ours.conf"
        path.write_text(f"[masakari]\ncredentials =\n{text}")
        path.chmod(0o640)
        return load(str(path))

    return written


@pytest.fixture
def refused(tmp_path: Path):
    def message(text: str) -> str:
        path = tmp_path / "ours.conf"
        path.write_text(text)
        with pytest.raises(ConfigurationError) as failure:
            load(str(path))
        assert str(failure.value).startswith(str(path))
        assert len(str(failure.value)) < 500
        return str(failure.value)[len(str(path)) :]

    return message


# What is meant


def test_without_a_section_there_is_no_check(write):
    assert write("").checks == ()


def test_what_is_not_said_has_the_default_of_the_table_and_of_the_check_alike(write):
    for text in (WEB, QUEUE, DISKS):
        (check,) = write(text).checks
        for name, option in options.BY_NAME.items():
            if name not in ("kind", *options.NEEDED.values(), "limit"):
                assert getattr(check, name) == option.default == Check._field_defaults[name]


def test_the_options_of_a_section_are_the_fields_of_a_check():
    assert {"name", *options.BY_NAME} == set(Check._fields)
    assert all(option.reloadable for option in options.OPTIONS)


def test_a_check_of_each_kind_is_what_its_section_says(write):
    web, queue, disks = write(
        '[check web]\nkind = exec\ncommand = "/opt/my app/check" --deep "a b" \'\'\noutput = no\noverdue = unhealthy\n'
        "interval = 30\ntimeout = 30\nfailures = 1\ngrace = 0\naction = recover\nreset = yes\n"
        "flavors = web.*, gold\nnames = shop-*\n"
        "[check  queue-2]\nkind = file\npath = 'C:\\app\\health file'\nfresh = 5\n"
        "[check disks]\nkind = builtin\nmeasure = filesystems\nlimit = 97.5\nguests = all\n"
    ).checks
    assert web == Check(
        "web", "exec", ("/opt/my app/check", "--deep", "a b", ""), False, interval=30, timeout=30, failures=1, grace=0,
        action="recover", overdue="unhealthy", reset=True, flavors=("web.*", "gold"), names=("shop-*",),
    )  # fmt: skip
    assert queue == Check("queue-2", "file", path="C:\\app\\health file", fresh=5)
    assert disks == Check("disks", "builtin", measure="filesystems", limit=97.5, guests="all")


@pytest.mark.parametrize(("measure", "text", "limit"), [
    ("answer-time", "500", 500), ("filesystems", "99.9", 99.9), ("load", "0.5", 0.5), ("vcpus", "2", 2),
    ("agent-version", "8.2", (8, 2)), ("agent-version", "10", (10,)), ("agent-version", "7.2.0.1", (7, 2, 0, 1)),
])  # fmt: skip
def test_a_limit_is_a_number_or_the_numbers_of_a_version(write, measure, text, limit):
    (check,) = write(f"[check it]\nkind = builtin\nmeasure = {measure}\nlimit = {text}\n").checks
    assert check.limit == limit
    assert section.texts(check)["limit"] == text


@pytest.mark.parametrize(("written", "words"), [
    ("/bin/check", ("/bin/check",)),
    ('"/bin/check" "a b"', ("/bin/check", "a b")),  # the quotes at both ends belong to two words
    ('"/bin/check"', ("/bin/check",)),
    (r"/opt/my\ app/check", ("/opt/my app/check",)),
    ("/bin/sh -c 'a | b && c > d'", ("/bin/sh", "-c", "a | b && c > d")),
    ("/bin/expr 1 '<' 2", ("/bin/expr", "1", "<", "2")),
    (r"""/bin/x a\ |\ b \| 'c | "d' "e | \" | f" '|'""", ("/bin/x", "a | b", "|", 'c | "d', 'e | " | f', "|")),
    ("/bin/check # $HOME `id` *", ("/bin/check", "#", "$HOME", "`id`", "*")),
    (r"'C:\Program Files\app\check.exe' /all", (r"C:\Program Files\app\check.exe", "/all")),
    ('"C:\\Program Files\\app\\check.exe"', (r"C:\Program Files\app\check.exe",)),
    (r"C:/app/check.exe", ("C:/app/check.exe",)),
    ("/bin/check --über=ß", ("/bin/check", "--über=ß")),
])  # fmt: skip
def test_a_command_is_split_as_a_shell_would_and_nothing_in_it_is_expanded(write, written, words):
    (check,) = write(f"[check web]\nkind = exec\ncommand = {written}\n").checks
    assert check.command == words


# What is refused


@pytest.mark.parametrize(("text", "message"), [
    ("[check]\nkind = exec\n", " line 1: [check]: give a name of at most 32 lower-case letters, digits and hyphens"),
    ("[check Web]\n", " line 1: [check Web]: give a name of at most 32"),
    ("[check a b]\n", " line 1: [check a b]: give a name of at most 32"),
    (f"[check {'x' * 33}]\n", f" line 1: [check {'x' * 33}]: give a name of at most 32"),
    ("[check \x1b[31m]\n", " line 1: [check \\x1b[31m]: give a name of at most 32"),
    ("[check none]\n", " line 1: [check none]: none is what a guest says that wants no checks; give another name"),
    ("[check web]\n", " line 1: check web.kind: is missing; give kind = exec, or another of: exec, file, builtin"),
    ("[chek web]\nkind = exec\n", " line 2: [chek web]: unknown section; did you mean check?"),
    (WEB + QUEUE + WEB, " line 7: [check web]: given already in line 1; give each check a name of its own"),
    (WEB + "command = /bin/true\n", " line 4: check web.command: given already in line 3; remove one of the two"),
    (WEB + "intervall = 5\n", " line 4: check web.intervall: unknown option; did you mean interval?"),
    (WEB + "silence = 5\n", " line 4: check web.silence: unknown option; give one of: kind, command, "),
    (WEB + "\x1b[31m = 5\n", " line 4: check web.\\x1b[31m: unknown option"),
    (WEB + "interval = 4\n", " line 4: check web.interval = '4': out of range; give 5 to 86400 s"),
    (WEB + "action = ignore\n", " line 4: check web.action = 'ignore': give one of: record, recover"),
    (WEB + "flavors = a\x07b\n", " line 4: check web.flavors = 'a\\x07b': has control characters; remove them"),
    ("[check web]\nkind = script\n", " line 2: check web.kind = 'script': give one of: exec, file, builtin"),
    ("[check web]\nkind =\n", " line 2: check web.kind: is missing; give kind = exec, or another of"),
    ("[check web]\ncommand = /bin/true\n", " line 1: check web.kind: is missing; give kind = exec, to which command"),
    ("[check web]\npath = /run/x\n", " line 1: check web.kind: is missing; give kind = file, to which path belongs"),
    ("[check web]\nkind = exec\n", " line 1: check web.command: a check of kind = exec needs it; give command = ..."),
    ("[check web]\nkind = file\n", " line 1: check web.path: a check of kind = file needs it; give path = ..."),
    ("[check web]\nkind = builtin\n", " line 1: check web.measure: a check of kind = builtin needs it; give one of:"),
    (WEB + "path = /run/x\n", " line 4: check web.path: belongs to a check of kind = file; this one is of kind = exec"),
    (QUEUE + "command = /bin/x\n", " line 4: check queue.command: belongs to a check of kind = exec; this one is of"),
    (QUEUE + "overdue = unhealthy\n", " line 4: check queue.overdue: belongs to a check of kind = exec"),
    (DISKS + "reset = no\n", " line 5: check disks.reset: belongs to a check of kind = exec or file"),
    (WEB + "limit = 5\n", " line 4: check web.limit: belongs to a check of kind = builtin"),
    (WEB + "timeout = 61\n", " line 4: check web.timeout = '61': the next run would be due before this one is"),
    (WEB + "interval = 5\n", " line 4: check web.interval = '5': the next run would be due before this one"),
    (WEB + "reset = yes\n", " line 4: check web.reset = 'yes': action = record recovers nobody; set action = recover"),
    (WEB + "guests = all\nnames = a\n", " line 5: check web.names = 'a': guests = all has every guest already; remove"),
    (WEB + "guests = all\nflavors = a\n", " line 5: check web.flavors = 'a': guests = all has every guest already"),
    ("[check q]\nkind = file\npath = run/q\n", " line 3: check q.path = 'run/q': give an absolute path in the guest"),
    ("[check q]\nkind = file\npath = C:q\n", " line 3: check q.path = 'C:q': give an absolute path in the guest"),
])  # fmt: skip
def test_a_mistake_is_named_with_line_check_option_value_and_remedy(refused, text, message):
    assert refused(text).startswith(message)


def test_a_timeout_that_is_too_long_for_its_interval_is_refused_with_the_longest(refused):
    assert refused(WEB + "interval = 30\ntimeout = 31\n").endswith("give timeout at most interval, 30 s")


@pytest.mark.parametrize(("command", "why"), [
    ("check.sh --deep", "give the absolute path of a program in the guest, and its arguments"),
    ("", "give the absolute path of a program"),
    ("./check", "give the absolute path of a program"),
    ("~/check", "give the absolute path of a program"),
    ("/bin/check 'a", "no closing quotation; blanks separate words, quotes keep one together, a backslash escapes"),
    ("/bin/check \\", "no escaped character; blanks separate words"),
    ("'/bin/check --deep'", "quotes around it all make one word of it; leave them out"),
    ('"/bin/check --deep"', "quotes around it all make one word of it; leave them out"),
    ("/bin/a | /bin/b", "no shell reads it, so | would be an argument; put the command into a script in the guest"),
    ("/bin/a && /bin/b", "no shell reads it, so && would be an argument"),
    ("/bin/a 2>&1", "no shell reads it, so 2>&1 would be an argument"),
    ("/bin/a \x00", "has control characters; remove them"),
    ("/bin/" + "a" * 2048, "longer than 2048 characters; put it into a script in the guest"),
])  # fmt: skip
def test_a_command_that_could_not_be_run_as_it_is_meant_is_refused(refused, command, why):
    said = refused(f"[check web]\nkind = exec\ncommand = {command}\n")
    assert said.startswith(" line 3: check web.command")
    assert f": {why}" in said


@pytest.mark.parametrize(("measure", "limit", "why"), [
    ("filesystems", "", " line 2: check it.limit: measure = filesystems needs it: percent used, such as 95"),
    ("agent-version", "", " line 2: check it.limit: measure = agent-version needs it: a version, such as 8.2"),
    ("filesystems", "100", " = '100': out of range; give 1 to 99.9 percent used, as measure = filesystems takes it"),
    ("filesystems", "95 %", " = '95 %': not a number; give 1 to 99.9 percent used, as measure"),
    ("vcpus", "1.5", " = '1.5': not a whole number; give 1 to 4096 vCPUs, as measure = vcpus takes it, such as 2"),
    ("load", "nan", " = 'nan': out of range"),
    ("agent-version", "8.x", " = '8.x': no version; measure = agent-version takes numbers with dots, such as 8.2"),
    ("agent-version", "95 %", " = '95 %': no version; measure = agent-version takes numbers with dots"),
    ("agent-version", "1.2.3.4.5", " = '1.2.3.4.5': no version"),
    ("answer-time", "8.2.0", " = '8.2.0': not a number; give 1 to 4999 ms, as measure = answer-time takes it"),
    ("answer-time", "5000", " = '5000': out of range; give 1 to 4999 ms"),
    ("answer-time", "4000\ntimeout = 4", " = '4000': no answer can take longer than timeout, 4 s; give less than 4"),
])  # fmt: skip
def test_a_limit_that_does_not_fit_its_measure_is_refused_with_one_that_does(refused, measure, limit, why):
    text = f"[watch]\n[check it]\nkind = builtin\nmeasure = {measure}\n" + (f"limit = {limit}\n" if limit else "")
    assert why in refused(text)


def test_no_answer_time_is_allowed_that_our_calls_do_not_wait_for():
    assert options.LIMITS["answer-time"].high < progress.CALL * 1000


def test_there_may_be_as_many_checks_as_that_and_no_more(write, refused):
    text = "".join(QUEUE.replace("queue]", f"queue-{number}]") for number in range(options.MOST))
    assert len(write(text).checks) == options.MOST
    assert refused(text + WEB).startswith(" line 97: [check web]: more than 32 checks; remove some")


def test_the_sections_may_stand_anywhere_among_the_others(write):
    config = write(WEB + "[watch]\ninterval = 5\n" + QUEUE)
    assert [check.name for check in config.checks] == ["web", "queue"]
    assert config["watch.interval"] == 5


def test_a_file_with_a_bad_check_is_refused_as_a_whole_and_nothing_of_it_holds(refused):
    assert "check web.command" in refused("[watch]\ninterval = 5\n[check web]\nkind = exec\ncommand = check\n")


# Onwards


EVERYTHING = WEB + (
    "output = no\noverdue = unhealthy\naction = recover\nreset = yes\nflavors = a, b\nnames = c\ninterval = 86399\n"
) + QUEUE + "fresh = 1\n" + DISKS + "[check age]\nkind = builtin\nmeasure = agent-version\nlimit = 8.2.0\n"


def test_the_helper_gets_the_checks_that_the_agent_has_read(write):
    config = write(EVERYTHING)
    assert len(config.checks) == 4
    assert unpacked(json.loads(json.dumps(packed(config)))) == config


def test_as_many_and_as_long_commands_as_are_possible_pass_through_the_control_socket(write):
    words = " '" + "\u20ac" * 980 + "' '" + "\U0001f600" * 980 + "'"
    text = "".join(f"[check c{number}]\nkind = exec\ncommand = /bin/x{words}\n" for number in range(options.MOST))
    assert len(json.dumps(packed(write(text)))) < REQUEST_SIZE


@pytest.mark.parametrize("spoil", [
    lambda sent: sent.pop("checks"),
    lambda sent: sent.update(checks=[]),
    lambda sent: sent["checks"]["web"].pop("command"),
    lambda sent: sent["checks"]["web"].update(measure="load"),
    lambda sent: sent["checks"]["web"].update(colour="red"),
    lambda sent: sent["checks"].update(web=None),
])  # fmt: skip
def test_checks_of_another_version_are_refused_with_the_remedy(write, spoil):
    sent = json.loads(json.dumps(packed(write(EVERYTHING))))
    spoil(sent)
    with pytest.raises(ConfigurationError, match=r"of another version .*; restart the resource"):
        unpacked(sent)


def test_what_is_shown_can_be_given_back_and_says_where_it_comes_from(write, tmp_path):
    config = write(EVERYTHING)
    shown = show(config)
    assert f"[check web]\n# {tmp_path}/ours.conf line 4\nkind = exec\n" in shown
    assert "# default\ntimeout = 10\n" in shown.partition("[check web]")[2]
    path = tmp_path / "shown.conf"
    path.write_text(shown)
    assert load(str(path)).checks == config.checks


def test_a_reload_names_the_checks_that_have_come_gone_or_changed(write):
    before = write(WEB + QUEUE)
    after = write(WEB.replace("/usr/bin", "/opt") + DISKS + "[watch]\ninterval = 5\n[log]\nlevel = debug\n")
    changed = ["watch.interval", "log.level", "check web", "check queue", "check disks"]
    assert changes(before, after) == (changed, ["log.level"])
    assert changes(after, after) == ([], [])


SAFE = some.characters(min_codepoint=32, max_codepoint=0x2FF).filter(str.isprintable)


@given(some.text(SAFE, min_size=1, max_size=20), some.lists(some.text(SAFE, max_size=20), max_size=5))
def test_whatever_a_commands_words_are_they_come_back_as_they_were(program, arguments):
    option = options.BY_NAME["command"]
    words = (f"/{program}", *arguments)
    text = option.text(words)
    assert option.parse(text) == words


# What is shipped


def test_the_samples_have_every_kind_and_every_option():
    assert {texts["kind"] for _, texts in options.SAMPLES} == set(KINDS)
    assert {option for _, texts in options.SAMPLES for option in texts} == set(options.BY_NAME)
    assert set(options.EXAMPLES) == set(MEASURES)


def test_the_example_file_has_a_sample_of_each_kind_switched_off(write):
    text = settings.example()
    assert write(text).checks == ()
    active = "".join(line[1:] if line[1:2] not in (" ", "\n", "") else line for line in text.splitlines(keepends=True)
                     if line.startswith("#"))  # fmt: skip
    assert [check.name for check in write(active[active.index("\n[check ") :]).checks] == ["web", "queue", "disks"]


def test_every_option_of_a_check_has_its_reason_in_the_example_file():
    words = " ".join(settings.example().replace("\n# ", " ").split())
    for option in options.OPTIONS:
        assert " ".join(option.reason.split()) in words
