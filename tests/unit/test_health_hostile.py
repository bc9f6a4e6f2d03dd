"""Whatever a guest's agent says: no run of a health check raises, none goes on for ever, what is shown is printable,
and there is never a second process of a check."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from heartbeat.health import course, replies
from heartbeat.health.condition import failed, learned, stands
from heartbeat.health.course import Result, Status
from heartbeat.health.definition import BUILTIN, EXEC, FILE, MEASURES, Check
from heartbeat.health.replies import Call, Reply
from heartbeat.health.statement import of_file, of_output
from heartbeat.probe import LIFE, Answer, read_value

QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CHECKS = (
    Check("web", EXEC, command=("/bin/check",), reset=True, overdue="unhealthy"),
    Check("dumb", EXEC, command=("/bin/check", "-v"), output=False, timeout=3.0),
    Check("db", FILE, path="/run/db", reset=True),
    *(Check(name, BUILTIN, measure=name, limit=(8, 2) if name == "agent-version" else 90.0) for name in MEASURES),
)

words = some.sampled_from([
    "healthy", "unhealthy", "reset-me", "healthy 1700000000 fine", '{"status": "reset-me", "time": 1700000000}',
    "\x1b[2J", "\ud800", "\U0001f600" * 99, "aGVhbHRoeSAxNzAwMDAwMDAw", "cmVzZXQtbWU=", "{" * 3000, "[" * 4000,
    "8.2.0", "/", "squashfs", "PID 1 does not exist", "handle '1' has not been found", "x" * 9000,
    "Command guest-exec has been disabled", "No such file or directory", "in frozen state", "{}", "{0}", "%s",
])  # fmt: skip
numbers = some.sampled_from([0, 1, 2, 3, -1, 77, 255, 1 << 31, 1 << 63, 1 << 64, 10**19, 1_700_000_000 * 10**9, 0.0,
                             -0.0, 1.5, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), True, False, None,
                             ])  # fmt: skip
leaves = numbers | words | some.integers() | some.floats() | some.text(max_size=20)
keys = some.sampled_from([
    "pid", "exited", "exitcode", "signal", "out-data", "err-data", "out-truncated", "count", "buf-b64", "eof",
    "mountpoint", "type", "used-bytes", "total-bytes", "load5m", "online", "version", "supported_commands", "name",
    "enabled", "status", "time", "text",
])  # fmt: skip
values = some.recursive(
    leaves, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(keys, inner, max_size=6), max_leaves=12
)
living = some.sampled_from(sorted(LIFE, key=str))
anything = some.builds(Reply, living, values, some.just("") | words, some.floats(0, 9))
silent = some.builds(Reply, some.sampled_from(sorted(set(Answer) - LIFE, key=str)))
# What a well-behaved agent might say, so that a run gets past its first call.
plausible = some.builds(Reply, some.just(Answer.ALIVE), some.one_of(
    some.integers(0, 9), some.just({}), some.just(1_700_000_000 * 10**9),
    some.fixed_dictionaries({"pid": some.integers(1, 9)}),
    some.fixed_dictionaries({"exited": some.booleans()}, optional={"exitcode": numbers, "signal": numbers,
                                                                   "out-data": words}),
    some.fixed_dictionaries({"buf-b64": words}),
    some.lists(some.fixed_dictionaries({"online": leaves, "mountpoint": words, "used-bytes": numbers,
                                        "total-bytes": numbers, "type": leaves}), max_size=3),
    some.fixed_dictionaries({"load5m": numbers, "version": words}),
))  # fmt: skip


def sound(result: Result) -> None:
    assert isinstance(result.status, Status)
    assert result.text.isascii()
    assert result.text.isprintable()
    assert len(result.text) <= 120


@QUICK
@given(check=some.sampled_from(CHECKS), heard=some.lists(plausible | anything | silent, min_size=1, max_size=40),
       each=some.floats(0, 6), capable=some.none() | values)  # fmt: skip
def test_no_run_raises_or_outlasts_its_time_whatever_the_agent_says(check, heard, each, capable):
    now, before, condition = 1000.0, None, None
    known = replies.capabilities(capable)
    it, at = course.begin(check, known, now)
    calls = 1
    for reply in heard:
        if isinstance(at, Result):
            sound(at)
            condition = learned(condition, at, check, 0.0, now)
            assert failed(condition, check) in (True, False)
            assert not stands(condition, check) or condition.failures
            now += 60
            before, calls = it, 1
            it, at = course.begin(check, known, now, before)
            continue
        assert isinstance(at, Call)
        json.dumps([at.execute, dict(at.arguments)])
        assert at.timeout == int(at.timeout) >= 1
        assert 0 <= at.after <= 1
        now += at.after + each
        it, at = course.step(it, reply, now)
        calls += 1
        # Each call of a run is answered within seconds; looks at a process end with the check's timeout.
        assert calls <= 16, "a run that does not end"
    if isinstance(at, Result):
        sound(at)


@QUICK
@given(heard=some.lists(plausible | anything | silent, max_size=40), each=some.floats(0, 6))
def test_a_process_is_begun_only_when_none_is_known_to_run(heard, each):
    check, now = CHECKS[0], 1000.0
    it, at = course.begin(check, None, now)
    running: object = None
    for reply in heard:
        if isinstance(at, Result):
            now += 60
            it, at = course.begin(check, None, now, it)
            continue
        if at.execute == "guest-exec":
            assert running is None, "a second process"
        now += at.after + each
        value, refused = reply.value, replies.objection(reply) if reply.answer in LIFE else None
        understood = reply.answer is Answer.ALIVE and not reply.error and isinstance(value, dict)
        if at.execute == "guest-exec" and understood:
            running = replies.whole(value.get("pid"))
        elif at.execute == "guest-exec-status" and (
            refused is replies.Refusal.GONE or (understood and value.get("exited") is True)
        ):
            running = None
        it, at = course.step(it, reply, now)


@QUICK
@given(replied=some.lists(some.sampled_from(["ok", "silent", "error"]), max_size=40), each=some.floats(0, 6))
def test_whatever_is_opened_is_closed_in_the_end(replied, each):
    check, now, opened = CHECKS[2], 1000.0, set()
    it, at = course.begin(check, None, now)
    handles = iter(range(100))
    for how in [*replied, *["ok"] * 12]:
        if isinstance(at, Result):
            now += 60
            it, at = course.begin(check, None, now, it)
            continue
        assert at.execute != "guest-file-open" or not opened, "what was opened before is still open"
        now += at.after + each
        reply = {"silent": Reply(Answer.SILENT), "error": Reply(Answer.GARBLED, None, "not today")}.get(how)
        if how == "ok":
            value: object = {"buf-b64": "aGVhbHRoeQ=="}
            if at.execute == "guest-file-open":
                value = next(handles)
                opened.add(value)
            elif at.execute == "guest-get-time":
                value = 10**18
            reply = Reply(Answer.ALIVE, value)
        if at.execute == "guest-file-close" and how != "silent":
            opened.discard(at.arguments["handle"])
        it, at = course.step(it, reply, now)
    assert len(opened) <= 1


@QUICK
@given(text=some.text(max_size=4096) | words, more=some.text(max_size=5))
def test_no_output_and_no_file_is_too_odd_to_be_read(text, more):
    for said in (of_output(text + more), of_file(text + more), of_output(more + text), of_file(more + text)):
        assert isinstance(said.status, str)
        assert isinstance(said.text, str)
        assert said.time is None or said.time >= 0
        assert replies.printed(said.text).isprintable()


@QUICK
@given(value=values)
def test_no_capabilities_are_too_odd_to_be_read(value):
    for info in (value, {"supported_commands": value, "version": value}, {"supported_commands": [value, value]}):
        known = replies.capabilities(info)
        assert known is None or all(isinstance(number, int) for number in known.version)


@QUICK
@given(text=some.text(max_size=300) | some.binary(max_size=300).map(lambda raw: raw.decode("latin-1")) | words)
def test_no_text_of_libvirts_is_too_odd_to_be_understood(text):
    assert isinstance(replies.refusal(text), replies.Refusal)
    assert replies.printed(replies.complaint(text)).isprintable()


@QUICK
@given(value=values)
def test_what_comes_as_json_is_judged_as_any_other(value):
    """Through the text that libvirt hands over, as it is in life: nan and endless numbers do not get that far."""
    answer, parsed = read_value(json.dumps({"return": value}))
    for check in CHECKS:
        it, at = course.begin(check, None, 1000.0)
        for _ in range(20):
            if isinstance(at, Result):
                sound(at)
                break
            it, at = course.step(it, Reply(answer, parsed), it.begun + 1)
