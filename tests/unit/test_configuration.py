"""The configuration: what an administrator writes, what he is told when it is wrong, and what is taken from others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from heartbeat import settings
from heartbeat.configuration import Configuration, ConfigurationError, ParameterError, load, packed, show, unpacked
from heartbeat.hostname import resolve


@pytest.fixture
def write(tmp_path: Path):
    """Writes our file, and beside it a masakarimonitors.conf if one is given; returns what load() makes of them."""

    def written(text: str | bytes, other: str | None = None, **parameters: str) -> Configuration:
        credentials = tmp_path / "masakarimonitors.conf"
        if other is not None:
            credentials.write_text(other)
        ours = text if isinstance(text, bytes) else text.encode()
        if b"credentials" not in ours:
            ours += b"\n[masakari]\ncredentials = " + os.fsencode(credentials) + b"\n"
        path = tmp_path / "ours.conf"
        path.write_bytes(ours)
        path.chmod(0o640)
        return load(str(path), parameters)

    return written


@pytest.fixture
def refused(tmp_path: Path):
    def message(text: str | bytes) -> str:
        path = tmp_path / "ours.conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigurationError) as failure:
            load(str(path))
        assert str(failure.value).startswith(str(path))
        return str(failure.value)[len(str(path)) :]

    return message


def test_an_empty_file_means_every_default(write):
    config = write("")
    own = {key: origin for key, origin in config.origins.items() if key != "masakari.credentials"}
    assert set(own.values()) == {"default"}
    assert config["watch.interval"] == 10
    assert set(config.values) == set(settings.BY_KEY)
    assert "masakarimonitors.conf is not used: No such file" in config.notes[0]


def test_the_example_file_is_valid_and_changes_nothing(write):
    assert {**write(settings.example()).values, "masakari.credentials": ""} == {
        **write("").values,
        "masakari.credentials": "",
    }


def test_the_example_file_stays_valid_when_every_option_in_it_is_switched_on(write, tmp_path):
    text = "".join(
        line[1:] if line[:1] == "#" and line[1:2] not in (" ", "") else line
        for line in settings.example().splitlines(keepends=True)
    )
    assert all(origin != "default" for origin in write(text).origins.values())


def test_the_shown_configuration_can_be_given_back(write):
    config = write("[watch]\ninterval = 4\n[report]\nbackends = attributes\n[log]\nto = /var/log/q.log\n")
    assert write(show(config)).values == config.values


def test_a_value_knows_the_line_it_came_from(write, tmp_path):
    config = write("# ours\n[watch]\ninterval = 5\n")
    assert config["watch.interval"] == 5
    assert config.origins["watch.interval"] == f"{tmp_path}/ours.conf line 3"


def test_a_parameter_of_the_resource_wins_over_the_file(write):
    config = write("[watch]\ninterval = 5\ntimeout = 3\n", interval="7")
    assert (config["watch.interval"], config["watch.timeout"]) == (7, 3)
    assert config.origins["watch.interval"] == "parameter interval"


def test_our_file_wins_over_masakarimonitors_conf_which_wins_over_the_default(write, tmp_path):
    other = "[introspectiveinstancemonitor]\nguest_monitoring_interval = 20\nguest_monitoring_timeout = 2\n"
    config = write("[watch]\ninterval = 5\n", other)
    assert (config["watch.interval"], config["watch.timeout"], config["watch.silence"]) == (5, 2, 15)
    assert config.origins["watch.timeout"] == f"{tmp_path}/masakarimonitors.conf line 3: guest_monitoring_timeout"
    assert len(config.notes) == 1
    assert "watch.timeout = 2 s" in config.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wacth]\n", ""),
        ("[wacth]\ninterval = 5\n", " line 2: [wacth]: unknown section; did you mean watch?"),
        ("[watch]\nintervall = 5\n", " line 2: watch.intervall: unknown option; did you mean interval?"),
        ("[watch]\nhostname = a\n", " line 2: watch.hostname: unknown option; it belongs in [report]"),
        ("[watch]\n\nzzz = 5\n", " line 3: watch.zzz: unknown option; give one of: sensitivity, mode, interval, "),
        ("[watch]\ninterval = 1\n", " line 2: watch.interval = '1': out of range; give 2 to 300 s"),
        ("[watch]\ninterval = 10 # s\n", " line 2: watch.interval = '10 # s': not a number; give 2 to 300 s"),
        ("[watch]\ninterval = 5\ninterval = 6\n", " line 3: watch.interval: given already in line 2; remove one"),
        ("[watch]\ninterval = 5\n[watch]\ninterval = 5\n", " line 4: watch.interval: given already in line 2"),
        ("interval = 5\n", " line 1: stands before any section; put [section] above it"),
        ("[watch\ninterval = 5\n", " line 1: not a section; give [name]"),
        ("[watch]\ninterval\n", " line 2: not an assignment; give option = value on one line"),
        ("[report]\nbackends = masakari,\n    attributes\n", " line 3: not an assignment"),
        ("[report]\nbackends = masakari, maskari\n", " line 2: report.backends = 'maskari': unknown; did you mean mas"),
        (b"[watch]\n# caf\xe9\n", " line 2: not UTF-8"),
        (b"[watch]\nint\x1b[31m = 5\n", " line 2: watch.int\\x1b[31m: unknown option"),
        (b"x" * (1 << 20) + b"x", " line 0"),
    ],
)
def test_a_mistake_is_named_with_file_line_option_and_remedy(refused, write, text, message):
    if not message:
        write(text)  # a section without options says nothing that could be wrong
    elif message == " line 0":
        assert "more than 1 MiB" in refused(text)
    else:
        assert refused(text).startswith(message)


@pytest.mark.parametrize("text", ["/var/log/console.log", "{uuid}.log", "/var/lib/{uuid}/../shadow", "/{uuid}/.."])
def test_a_console_that_would_be_the_same_for_every_guest_or_lie_elsewhere_is_refused(refused, text):
    said = refused(f"[evidence]\nconsole = {text}\n")
    assert "give an absolute path with {uuid} in it" in said


@pytest.mark.parametrize("text", ["", "/var/lib/nova/instances/{uuid}/console.log", "/var/log/guest-{uuid}"])
def test_a_console_may_be_anywhere_or_nowhere(write, text):
    assert write(f"[evidence]\nconsole = {text}\n").text("evidence.console") == text


def test_a_wrong_password_line_does_not_print_the_password(refused):
    assert "se" + "cret" not in refused(b"[masakari]\npassword = secret\x01\n")


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    for path, why in ((tmp_path / "none.conf", "no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(ConfigurationError) as failure:
            load(str(path))
        assert (failure.value.path, failure.value.line) == (str(path), 0)
        assert why in str(failure.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"interval": "0"}, "parameter interval = '0': out of range; give 2 to 300 s"),
        ({"intervall": "5"}, "parameter intervall = '5': unknown; did you mean interval?"),
        ({"hostname": "a b"}, "parameter hostname = 'a b': give at most 255 letters"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_remedy(write, parameters, message):
    with pytest.raises(ParameterError) as failure:
        write("", **parameters)
    assert str(failure.value).startswith(message)


def test_a_byte_order_mark_indentation_quotes_and_colons_are_fine(write):
    config = write("\ufeff[watch]\r\n  interval : 7\r\n[masakari]\r\npassword = \"a = b # c\"\r\ncredentials =\r\n")
    assert (config["watch.interval"], config["masakari.password"]) == (7, "a = b # c")


# An existing masakarimonitors.conf

API = """[api]
auth_url = http://keystone/v3
password = p%ss$$word
username = masakari
region = ${DEFAULT.where}
[DEFAULT]
where = one
where = two
"""


def test_credentials_come_from_the_api_section_where_our_auth_url_is_empty(write):
    assert write("", API).api == {
        "auth_url": "http://keystone/v3",
        "password": "p%ss$word",
        "username": "masakari",
        "region": "two",
    }
    assert write("[masakari]\nauth_url = http://k\ncredentials = /none\n", API).api == {}


def test_a_section_that_the_api_section_refers_to_is_followed(write):
    other = "[api]\nauth_section = keystone_authtoken\n[keystone_authtoken]\nusername = m\n"
    assert write("", other).api["username"] == "m"


def test_no_secret_is_shown(write):
    config = write("[masakari]\npassword = geheim\ncredentials = /none\n")
    assert "geheim" not in show(config)
    assert "password = ****" in show(config)
    shown = show(write("", API + "[api]\nadmin_token = geheim\n"))
    assert "geheim" not in shown
    assert "p%ss" not in shown
    assert "auth_url = http://keystone/v3" in shown


@pytest.mark.parametrize(
    ("line", "key", "value", "note"),
    [
        ("guest_monitor_interval = 30", "watch.interval", 30, "guest_monitor_interval"),
        ("guest_monitoring_failure_threshold = 6", "watch.silence", 30, "5 s for each: libvirt waits that long"),
        ("guest_monitoring_failure_threshold = 1", "watch.silence", 6, "5 is out of range, 6 to 3600 s is possible"),
        ("guest_monitoring_interval = 1", "watch.interval", 2, "out of range"),
        ("guest_monitor_timeout = 99", "watch.timeout", 20, "out of range"),
        ("guest_monitoring_timeout = soon", "watch.timeout", 5, "warning: guest_monitoring_timeout = 'soon'"),
        ("qemu_guest_agent_sock_path = (.*)", "watch.timeout", 5, "is not needed"),
        ("guest_monitoring_intervall = 3", "watch.interval", 10, "is unknown and has no effect"),
        ("guest_monitoring_interval = 5\nguest_monitoring_interval = 6", "watch.interval", 6, "line 3"),
        ("guest_monitor_interval = 5\nguest_monitoring_interval = 6", "watch.interval", 6, "line 3"),
        ("guest_monitoring_interval = $wait\nwait = 8", "watch.interval", 8, "line 2"),
    ],
)
def test_the_predecessors_options_mean_something_and_it_is_said_what(write, line, key, value, note):
    config = write("", f"[introspectiveinstancemonitor]\n{line}\n")
    assert config[key] == value
    assert note in "\n".join(config.notes)


def test_several_lines_nonsense_and_options_that_name_each_other_are_borne(write):
    other = "stray\n[libvirt\n[api]\nauth_url = http://k\n   more\n\n  x\nbroken\nregion = $a\na = $b\nb = $a$a\n"
    api = write("", other).api
    assert api["auth_url"] == "http://k\nmore"
    assert len(api["region"]) < 100


def test_a_masakarimonitors_conf_that_cannot_be_used_is_noted_and_no_error(write, tmp_path):
    (tmp_path / "masakarimonitors.conf").write_bytes(b"[api]\n\xff\n")
    assert "is not used: line 2: not UTF-8" in write("").notes[0]
    assert "Is a directory" in write(f"[masakari]\ncredentials = {tmp_path}\n").notes[0]
    assert "No such file" in write("[masakari]\ncredentials = /none\n").notes[0]


def test_a_password_that_everybody_can_read_is_noted(write, tmp_path):
    write("[masakari]\npassword = x\ncredentials =\n")
    path = tmp_path / "ours.conf"
    assert load(str(path)).notes == ()
    path.chmod(0o644)
    assert "chmod 0640" in load(str(path)).notes[0]


# The name that Masakari knows this node by


@pytest.fixture
def nova(tmp_path: Path) -> Path:
    (tmp_path / "nova/nova.conf.d").mkdir(parents=True)
    return tmp_path / "nova"


def test_an_explicit_hostname_wins_over_novas(write, nova):
    (nova / "nova.conf").write_text("[DEFAULT]\nhost = nova-name\n")
    assert resolve(write("[report]\nhostname = mine\n"), str(nova)).name == "mine"
    found = resolve(write(""), str(nova))
    assert found == ("nova-name", f"{nova}/nova.conf line 2: host")


def test_the_last_of_novas_files_wins(write, nova):
    (nova / "nova.conf").write_text("[DEFAULT]\nhost = first\n")
    (nova / "nova.conf.d" / "10-x.conf").write_text("[DEFAULT]\nhost = second\n")
    (nova / "nova.conf.d" / "09-x.conf").write_text("[DEFAULT]\nhost = between\n")
    assert resolve(write(""), str(nova)).name == "second"


def test_without_nova_the_host_name_is_taken(write, nova):
    assert resolve(write(""), str(nova)) == (os.uname().nodename, "host name")


def test_a_host_that_only_nova_can_resolve_is_passed_over_and_said(write, nova):
    (nova / "nova.conf").write_text("[DEFAULT]\nhost = $my_ip\n")
    found = resolve(write(""), str(nova))
    assert found.name == os.uname().nodename
    assert "nova.conf line 2 has '$my_ip'" in found.origin
    (nova / "nova.conf").write_text("[DEFAULT]\nhost = $my_ip\nmy_ip = 10.0.0.1\n")
    assert resolve(write(""), str(nova)).name == "10.0.0.1"


# From the agent to the helper


def test_what_is_sent_and_taken_is_the_same_secrets_and_all(write):
    text = "[masakari]\nusername = me\n[report]\nbackends =\n[breaker]\nhealth = yes\n"
    config = write(text, "[api]\npassword = 1%$s\n", interval="7")
    assert config.api
    assert unpacked(json.loads(json.dumps(packed(config)))) == config


@pytest.mark.parametrize("spoil", [
    lambda sent: sent["values"].pop("watch.interval"),
    lambda sent: sent["values"].update({"watch.interval": "often"}),
    lambda sent: sent.pop("origins"),
    lambda sent: sent.update(api=None),
])
def test_what_another_version_sends_is_refused_with_the_remedy(write, spoil):
    sent = json.loads(json.dumps(packed(write(""))))
    spoil(sent)
    with pytest.raises(ConfigurationError, match=r"of another version .*; restart the resource"):
        unpacked(sent)
