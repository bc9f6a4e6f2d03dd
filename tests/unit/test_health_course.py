"""A run of a health check, call for call: how it comes out, and what it leaves in the guest."""

from __future__ import annotations

import base64
import json

import pytest

from heartbeat.health import course
from heartbeat.health.course import Course, Result, Status
from heartbeat.health.definition import BUILTIN, EXEC, FILE, Check
from heartbeat.health.replies import Call, Capabilities, Reply
from heartbeat.probe import Answer

WEB = Check("web", EXEC, command=("/usr/bin/check-web", "--port", "80"), timeout=10.0)
DB = Check("db", FILE, path="/run/db.status", fresh=60.0)
CLOCK = 1_700_000_000  # the guest's, seconds
AGENT = "internal error: unable to execute QEMU agent command '{}': "


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def said(value: object) -> Reply:
    return Reply(Answer.ALIVE, value)


def refused(text: str, answer: Answer = Answer.GARBLED) -> Reply:
    return Reply(answer, None, text)


def exited(code: object = 0, out: str = "", err: str = "") -> Reply:
    data = {"out-data": b64(out)} if out else {}
    return said({"exited": True, "exitcode": code, **data, **({"err-data": b64(err)} if err else {})})


STARTED, RUNNING = said({"pid": 77}), said({"exited": False})


class Run:
    """A run, step by step. Each reply comes `each` seconds after its call is put."""

    def __init__(self, check: Check, now: float = 1000.0, before: Course | None = None, each: float = 0.001,
                 capabilities: Capabilities | None = None) -> None:
        self.now, self.each, self.calls = now, each, []
        self.course, self.at = course.begin(check, capabilities, now, before)
        self._note()

    def hears(self, *replies: Reply) -> Run:
        for reply in replies:
            assert isinstance(self.at, Call), f"over before {reply}: {self.at}"
            self.now += self.at.after + self.each
            self.course, self.at = course.step(self.course, reply, self.now)
            self._note()
        return self

    def _note(self) -> None:
        if isinstance(self.at, Call):
            self.calls.append(self.at)

    @property
    def result(self) -> Result:
        assert isinstance(self.at, Result), self.at
        return self.at

    @property
    def asked(self) -> list[str]:
        return [call.execute for call in self.calls]


# A program


@pytest.mark.parametrize(("code", "status"), [
    (0, Status.HEALTHY), (1, Status.UNHEALTHY), (2, Status.INITIALISING), (3, Status.UNKNOWN),
    (4, Status.UNKNOWN), (127, Status.UNKNOWN), (4294967295, Status.UNKNOWN), (-1, Status.UNKNOWN),
    (True, Status.UNKNOWN), (False, Status.UNKNOWN), ("0", Status.UNKNOWN), (None, Status.UNKNOWN),
    (0.0, Status.UNKNOWN),
])  # fmt: skip
def test_the_exit_code_of_a_program_is_its_status(code, status):
    assert Run(WEB).hears(STARTED, exited(code)).result.status is status


def test_a_program_is_run_without_a_shell_and_looked_at_less_and_less_often():
    run = Run(WEB).hears(STARTED, *[RUNNING] * 7, exited(0, "200 OK\nand more\n"))
    assert run.calls[0] == Call("guest-exec", {"path": "/usr/bin/check-web", "arg": ["--port", "80"],
                                               "capture-output": True}, 5)  # fmt: skip
    assert {(call.execute, call.arguments["pid"]) for call in run.calls[1:]} == {("guest-exec-status", 77)}
    assert [call.after for call in run.calls[1:]] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert run.result.status is Status.HEALTHY
    assert run.result.text == "200 OK"
    assert run.result.took == pytest.approx(4.55 + 9 * run.each)
    assert run.course.process is None


def test_a_program_killed_by_a_signal_says_nothing_of_the_application():
    run = Run(WEB).hears(STARTED, said({"exited": True, "signal": 9, "out-data": b64("reset-me")}))
    assert run.result[:2] == (Status.UNKNOWN, "ended by signal 9")


def test_a_program_that_is_not_in_the_guest_cannot_check_it():
    text = "Failed to execute child process \u201c/usr/bin/check-web\u201d (No such file or directory)"
    result = Run(WEB).hears(refused(AGENT.format("guest-exec") + text)).result
    assert result[:2] == (Status.CANNOT, "the guest has no /usr/bin/check-web")


@pytest.mark.parametrize(("out", "err", "text"), [
    ("  queue 12\nsecond line", "", "queue 12"),
    ("", "Traceback\n", "Traceback"),
    ("", "", "exit code 1"),
    ('{"text": "queue 12", "status": "fine"}', "", "queue 12"),
    ('{"text": ["no", "text"]}', "", "exit code 1"),
    ('{"text": ', "", '{"text":'),
    ("\x1b[2Jgone\x07", "", r"\x1b[2Jgone\x07"),
    ("gr\u00fc\u00df \U0001f600", "", r"gr\xfc\xdf \U0001f600"),
    ("x" * 5000, "", "x" * 120),
    ("reset-me: wedged", "", "reset-me: wedged"),
])  # fmt: skip
def test_the_first_line_of_output_or_a_document_is_the_text(out, err, text):
    result = Run(WEB).hears(STARTED, exited(1, out, err)).result
    assert result[:2] == (Status.UNHEALTHY, text)


def test_output_that_is_not_text_is_shown_as_such_and_decides_nothing():
    out = {"exited": True, "exitcode": 0, "out-data": b64(b"\xff\xfe\x00 \x80garbage")}
    result = Run(WEB).hears(STARTED, said(out)).result
    assert result.status is Status.HEALTHY
    assert result.text.isprintable()
    assert result.text.isascii()
    assert Run(WEB).hears(STARTED, said({**out, "out-data": "?" * 9})).result.text == "exit code 0"


@pytest.mark.parametrize("out", ["reset-me", "reset-me: wedged", '{"status": "reset-me", "text": "wedged"}'])
def test_a_guest_may_ask_for_its_own_recovery_where_the_operator_lets_it(out):
    assert Run(WEB._replace(reset=True)).hears(STARTED, exited(1, out)).result.status is Status.RESET
    assert Run(WEB).hears(STARTED, exited(1, out)).result.status is Status.UNHEALTHY
    assert Run(WEB).hears(STARTED, exited(0, out)).result.status is Status.HEALTHY
    odd = Run(WEB._replace(reset=True)).hears(STARTED, exited(126, out))
    assert odd.result.status is Status.UNKNOWN


@pytest.mark.parametrize(("overdue", "status"), [("unknown", Status.UNKNOWN), ("unhealthy", Status.UNHEALTHY)])
def test_a_program_that_hangs_is_looked_at_until_its_time_is_over_and_never_run_twice(overdue, status):
    check = WEB._replace(overdue=overdue, timeout=3.0)
    run = Run(check, each=0.0).hears(STARTED, *[RUNNING] * 7)
    assert run.result == (status, "still running after 3 s", pytest.approx(3.0))
    for turn in (1, 2, 3):
        later = Run(check, 1000.0 + 60 * turn, run.course).hears(RUNNING)
        assert later.calls == [Call("guest-exec-status", {"pid": 77}, 5)]
        assert later.result[:2] == (status, f"begun {60 * turn} s ago and still running")
        run = later
    last = Run(check, 1300.0, run.course).hears(exited(1), said({"pid": 78}), exited(0))
    assert last.asked == ["guest-exec-status", "guest-exec", "guest-exec-status"]
    assert last.result.status is Status.HEALTHY, "what the process of an earlier run said counts no more"


def test_the_last_look_at_a_program_is_when_its_time_is_over():
    run = Run(WEB._replace(timeout=2.0), each=0.0).hears(STARTED, *[RUNNING] * 5)
    assert run.at.after == pytest.approx(2.0 - 1.55)
    assert run.hears(exited(0)).result == (Status.HEALTHY, "exit code 0", pytest.approx(2.0))


@pytest.mark.parametrize("text", [
    "internal error: unable to execute QEMU agent command 'guest-exec-status': PID 77 does not exist",
    "guest agent command failed: unable to execute QEMU agent command 'guest-exec-status': PID 77 does not exist",
    "internal error: unable to execute QEMU agent command 'guest-exec-status': Invalid parameter 'pid'",
])  # fmt: skip
def test_a_process_that_the_agent_does_not_know_is_forgotten(text):
    hung = Run(WEB, each=3.0).hears(STARTED, *[RUNNING] * 3)
    assert hung.course.process == 77
    run = Run(WEB, 1100.0, hung.course).hears(refused(text), said({"pid": 90}), exited(0))
    assert run.asked == ["guest-exec-status", "guest-exec", "guest-exec-status"]
    gone = Run(WEB).hears(STARTED, refused(text))
    assert (gone.result.status, gone.course.process) == (Status.UNKNOWN, None)


def test_a_process_of_an_agent_that_has_begun_anew_is_not_looked_for():
    hung = Run(WEB, each=3.0).hears(STARTED, *[RUNNING] * 3)
    assert Run(WEB, 1100.0, course.reconnected(hung.course)).asked == ["guest-exec"]


@pytest.mark.parametrize("answer", [Answer.SILENT, Answer.CLOSED, Answer.NOT_CONNECTED, Answer.BUSY, Answer.LINK,
                                    Answer.NOT_RUNNING, Answer.GONE, Answer.UNCLEAR, Answer.DENIED])  # fmt: skip
def test_an_agent_that_does_not_answer_says_nothing_of_the_application(answer):
    for check in (WEB._replace(overdue="unhealthy"), DB, Check("a", BUILTIN, measure="answer-time", limit=100.0)):
        assert Run(check).hears(Reply(answer)).result[:2] == (Status.UNKNOWN, answer.value)
    waiting = Run(WEB).hears(STARTED, Reply(answer))
    assert (waiting.result.status, waiting.course.process) == (Status.UNKNOWN, 77)


def test_a_flood_of_output_is_not_asked_for_again_for_an_hour():
    libvirts = "No complete agent response found in 10485760 bytes"
    run = Run(WEB).hears(STARTED, Reply(Answer.GARBLED, None, libvirts))
    assert run.result[:2] == (Status.UNKNOWN, f"its output cannot be read, as where it is too much: {libvirts}")
    assert Run(WEB).hears(STARTED, Reply(Answer.GARBLED)).course.quiet
    assert not Run(WEB._replace(output=False)).hears(STARTED, Reply(Answer.GARBLED)).course.quiet
    gone = refused("internal error: unable to execute QEMU agent command 'guest-exec-status': PID 77 does not exist")
    run = Run(WEB, 1060.0, run.course).hears(gone, said({"pid": 78}), exited(1))
    assert run.calls[1].arguments["capture-output"] is False
    assert run.result[:2] == (Status.UNHEALTHY, "its output is too much to be read")
    anew = course.reconnected(run.course)
    assert Run(WEB, 4000.0, anew).at.arguments["capture-output"] is False
    assert Run(WEB, 4700.0, anew).at.arguments["capture-output"] is True


def test_output_is_not_asked_for_where_the_operator_says_so():
    run = Run(WEB._replace(output=False)).hears(STARTED, exited(0))
    assert run.calls[0].arguments["capture-output"] is False
    assert run.result.text == "exit code 0"


@pytest.mark.parametrize("value", [None, 7, [], {}, {"pid": None}, {"pid": True}, {"pid": -5}, {"pid": 1 << 64},
                                   {"pid": "77"}, {"pid": 7.0}])  # fmt: skip
def test_an_agent_that_makes_up_a_process_is_not_understood(value):
    assert Run(WEB).hears(said(value)).result[:2] == (Status.UNKNOWN, "its agent's answer is not understood")


@pytest.mark.parametrize("value", [None, 7, [], {}, {"exited": 1}, {"exited": "true"}, {"exitcode": 0}])
def test_a_process_whose_state_is_not_understood_counts_as_running(value):
    run = Run(WEB).hears(STARTED, said(value))
    assert (run.result.status, run.course.process) == (Status.UNKNOWN, 77)


# What an agent does not allow


ALL = frozenset({"guest-exec", "guest-exec-status", "guest-file-open", "guest-file-read", "guest-file-close",
                 "guest-get-time", "guest-get-fsinfo", "guest-get-vcpus", "guest-get-load", "guest-info",
                 "guest-sync"})  # fmt: skip


@pytest.mark.parametrize(("check", "command"), [
    (WEB, "guest-exec"), (WEB, "guest-exec-status"), (DB, "guest-file-open"), (DB, "guest-file-read"),
    (DB, "guest-file-close"), (DB, "guest-get-time"), (Check("v", BUILTIN, measure="vcpus"), "guest-get-vcpus"),
    (Check("l", BUILTIN, measure="load"), "guest-get-load"), (Check("l", BUILTIN, measure="load"), "guest-get-vcpus"),
    (Check("f", BUILTIN, measure="filesystems"), "guest-get-fsinfo"),
])  # fmt: skip
def test_what_the_agent_does_not_allow_is_not_tried(check, command):
    run = Run(check, capabilities=Capabilities(ALL - {command}, (7, 2)))
    assert run.calls == []
    assert run.result == (Status.CANNOT, f"its agent has no {command}, or does not allow it", 0.0)
    assert Run(check, capabilities=Capabilities(ALL, (7, 2))).calls


@pytest.mark.parametrize("answer", [Answer.GARBLED, Answer.ALIVE])
def test_what_the_agent_turns_out_not_to_allow_cannot_be_checked(answer):
    for check, command in ((WEB, "guest-exec"), (DB, "guest-file-open"),
                           (Check("v", BUILTIN, measure="vcpus"), "guest-get-vcpus")):  # fmt: skip
        for text, shown in ((f"Command {command} has been disabled: the command is not allowed", "allow"),
                            (f"The command {command} has not been found", "know")):  # fmt: skip
            run = Run(check).hears(refused(AGENT.format(command) + text, answer))
            assert run.result[:2] == (Status.CANNOT, f"its agent does not {shown} {command}")


def test_a_guest_whose_file_systems_are_frozen_is_not_ill():
    text = "Command guest-exec has been disabled: the agent is in frozen state"
    result = Run(WEB).hears(refused(AGENT.format("guest-exec") + text)).result
    assert result[:2] == (Status.UNKNOWN, "its file systems are frozen")


def test_the_agents_own_words_are_shown_where_they_mean_nothing_to_us():
    text = "Failed to execute child process \u201c/x\u201d (Permission denied)\x1b[31m\n"
    result = Run(WEB).hears(refused(AGENT.format("guest-exec") + text)).result
    assert result.status is Status.UNKNOWN
    assert result.text == r"guest-exec: Failed to execute child process \u201c/x\u201d (Permission denied)\x1b[31m"


def test_what_is_missing_is_named_by_the_agent():
    text = "failed to list entries: /sys/devices/system/cpu: No such file or directory"
    result = Run(Check("v", BUILTIN, measure="vcpus", limit=1.0)).hears(refused(AGENT.format("x") + text)).result
    assert result[:2] == (Status.UNKNOWN, f"guest-get-vcpus: {text}")


# A file


def read(content: str, clock: object = CLOCK * 10**9) -> list[Reply]:
    return [said(3), said({"count": len(content), "buf-b64": b64(content), "eof": True}), said({}), said(clock)]


def document(age: float = 5, status: str = "healthy", text: str = "") -> str:
    return json.dumps({"status": status, "time": CLOCK - age, "text": text})


def test_a_file_is_opened_read_and_closed_and_judged_by_the_guests_clock():
    run = Run(DB).hears(*read(document(text="42 connections")))
    assert run.calls == [
        Call("guest-file-open", {"path": "/run/db.status", "mode": "r"}, 5),
        Call("guest-file-read", {"handle": 3, "count": 4096}, 5),
        Call("guest-file-close", {"handle": 3}, 5),
        Call("guest-get-time", {}, 5),
    ]
    assert run.result[:2] == (Status.HEALTHY, "42 connections")
    assert run.course.handle is None


@pytest.mark.parametrize(("content", "status", "text"), [
    (document(60), Status.HEALTHY, "so says /run/db.status"),
    (document(61), Status.UNHEALTHY, "/run/db.status is 61 s old, good up to 60"),
    (document(86400, "initialising"), Status.UNHEALTHY, "/run/db.status is 86400 s old, good up to 60"),
    (document(-60), Status.HEALTHY, "so says /run/db.status"),
    (document(-61), Status.UNKNOWN, "/run/db.status is of 61 s from now, by the guest's clock"),
    (document(status="unhealthy", text="no quorum"), Status.UNHEALTHY, "no quorum"),
    (document(status=" Initializing "), Status.INITIALISING, "so says /run/db.status"),
    (document(status="unknown"), Status.UNKNOWN, "so says /run/db.status"),
    (document(status="so\nso"), Status.UNKNOWN, "/run/db.status has no status that is known: so so"),
    (document(status="reset-me", text="wedged"), Status.UNHEALTHY, "wedged"),
    (f"healthy {CLOCK - 5} all is well\nmore", Status.HEALTHY, "all is well"),
    (f"HEALTHY {CLOCK - 5}", Status.HEALTHY, "so says /run/db.status"),
    (f"unhealthy {CLOCK - 5.5} a  b", Status.UNHEALTHY, "a b"),
    (f"healthy {CLOCK - 61}", Status.UNHEALTHY, "/run/db.status is 61 s old, good up to 60"),
    ("healthy", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy today", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy nan", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy inf", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy -5", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy 1e999", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"status": "healthy", "time": true}', Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"status": "healthy", "time": "1700000000"}', Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"status": "healthy", "time": NaN}', Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"status": "healthy", "time": 1' + "0" * 400 + "}", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("", Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("\0" * 100, Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("[" * 3000, Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"a":' + "[" * 3000, Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ("healthy 1" + "0" * 2000, Status.UNKNOWN, "/run/db.status does not say of when it is"),
    ('{"a":' * 600, Status.UNKNOWN, "/run/db.status does not say of when it is"),
])  # fmt: skip
def test_what_a_file_says_counts_as_long_as_it_is_fresh(content, status, text):
    assert Run(DB).hears(*read(content)).result[:2] == (status, text)


def test_a_file_may_ask_for_a_recovery_where_the_operator_lets_it():
    check = DB._replace(reset=True)
    assert Run(check).hears(*read(document(status="reset-me"))).result[:2] == (Status.RESET, "it asks for a reset")
    assert Run(check).hears(*read(document(61, status="reset-me"))).result.status is Status.UNHEALTHY


@pytest.mark.parametrize("text", [
    "failed to open file '/run/db.status' (mode: 'r'): No such file or directory",
    "failed to open file '/run/db.status': The system cannot find the file specified.",
])  # fmt: skip
def test_a_file_that_is_not_there_is_a_failure(text):
    run = Run(DB).hears(refused(AGENT.format("guest-file-open") + text))
    assert run.result[:2] == (Status.UNHEALTHY, "there is no /run/db.status")
    assert run.asked == ["guest-file-open"]


def test_a_file_that_may_not_be_read_says_nothing():
    text = AGENT.format("guest-file-open") + "failed to open file '/run/db.status' (mode: 'r'): Permission denied"
    assert Run(DB).hears(refused(text)).result.status is Status.UNKNOWN


@pytest.mark.parametrize("reply", [
    refused("unable to execute QEMU agent command 'guest-file-read': failed to read file: Is a directory"),
    Reply(Answer.GARBLED), said(None), said({"buf-b64": 5}), said("x"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_is_closed_all_the_same(reply):
    run = Run(DB).hears(said(3), reply, said({}))
    assert run.asked == ["guest-file-open", "guest-file-read", "guest-file-close"]
    assert (run.result.status, run.course.handle) == (Status.UNKNOWN, None)


@pytest.mark.parametrize("silent_at", [1, 2])
@pytest.mark.parametrize("handle", [3, 0])
def test_a_file_that_could_not_be_closed_is_closed_before_the_next_run(silent_at, handle):
    run = Run(DB).hears(*[said(handle), *read(document())[1:]][:silent_at], Reply(Answer.SILENT))
    assert (run.result.status, run.course.handle) == (Status.UNKNOWN, handle)
    gone = refused("unable to execute QEMU agent command 'guest-file-close': handle '3' has not been found")
    later = Run(DB, 1060.0, run.course).hears(gone, *read(document()))
    assert later.calls[0] == Call("guest-file-close", {"handle": handle}, 5)
    assert later.asked[1:] == ["guest-file-open", "guest-file-read", "guest-file-close", "guest-get-time"]
    assert later.result.status is Status.HEALTHY
    assert Run(DB, 1060.0, course.reconnected(run.course)).asked == ["guest-file-open"]


def test_a_file_that_took_too_long_to_open_is_closed_and_overdue():
    run = Run(DB._replace(timeout=3.0, overdue="unhealthy"), each=4.0).hears(said(3), said({}))
    assert run.asked == ["guest-file-open", "guest-file-close"]
    assert run.result[:2] == (Status.UNHEALTHY, "to open it took 4 s")


@pytest.mark.parametrize("clock", [None, "now", -1, True, 1.5, {}, 1 << 64])
def test_a_guest_whose_clock_is_not_understood_is_not_judged_by_a_file(clock):
    result = Run(DB).hears(*read(document(), clock)).result
    assert result[:2] == (Status.UNKNOWN, "its agent's answer is not understood")


@pytest.mark.parametrize("handle", [None, True, -1, "3", [], 1 << 64])
def test_a_handle_that_is_none_is_not_used(handle):
    run = Run(DB).hears(said(handle))
    assert (run.result.status, run.course.handle) == (Status.UNKNOWN, None)


# What the agent measures


def builtin(measure: str, limit: object) -> Check:
    return Check("b", BUILTIN, measure=measure, limit=limit)


def mount(point: object, used: object, total: object, kind: object = "ext4") -> dict[str, object]:
    return {"mountpoint": point, "used-bytes": used, "total-bytes": total, "type": kind, "name": "vda1", "disk": []}


def test_the_time_of_an_answer_is_that_of_the_call():
    check = builtin("answer-time", 100.0)
    run = Run(check)
    number = run.at.arguments["id"]
    assert run.hears(Reply(Answer.ALIVE, number, took=0.1)).result[:2] == (
        Status.HEALTHY, "answered in 100 ms, good up to 100")  # fmt: skip
    assert Run(check).hears(Reply(Answer.ALIVE, number, took=0.25)).result[:2] == (
        Status.UNHEALTHY, "answered in 250 ms, good up to 100")  # fmt: skip
    assert Run(check).hears(Reply(Answer.ALIVE, number + 1, took=0.1)).result.status is Status.UNKNOWN
    assert Run(check, 1060.0).at.arguments["id"] != number


@pytest.mark.parametrize(("mounts", "status", "text"), [
    ([mount("/", 50, 100), mount("/var", 90, 100)], Status.HEALTHY,
     "/var is 90 % full, the fullest of 2, good up to 90 %"),
    ([mount("/var", 904, 1000), mount("/", 1, 9)], Status.UNHEALTHY,
     "/var is 90.4 % full, the fullest of 2, good up to 90 %"),
    ([mount("C:\\", 1, 100), mount("/snap/x", 9, 9, "squashfs"), mount("/cd", 9, 9, "ISO9660"),
      mount("D:\\", 9, 9, "CDFS")], Status.HEALTHY, "C:\\ is 1 % full, the fullest of 1, good up to 90 %"),
    ([{"mountpoint": "/boot", "name": "x", "type": "vfat"}, mount("/", 1, 2)], Status.HEALTHY,
     "/ is 50 % full, the fullest of 1, good up to 90 %"),
    ([mount("/\x1b[2J\n" + "x" * 100, 99, 100)], Status.UNHEALTHY, None),
    ([mount("/", 500, 100)], Status.UNHEALTHY, "/ is 100.0 % full, the fullest of 1, good up to 90 %"),
    ([mount("/", 99, 0), mount("/a", -1, 5), mount("/b", True, True), mount("/c", 1 << 70, 5), mount(5, 99, 100),
      mount("/d", 1.0, 1.0), "x", None], Status.UNKNOWN, "it has no file system whose use can be measured"),
    ([], Status.UNKNOWN, "it has no file system whose use can be measured"),
    ({}, Status.UNKNOWN, "its agent's answer is not understood"),
    (None, Status.UNKNOWN, "its agent's answer is not understood"),
])  # fmt: skip
def test_the_fullest_file_system_decides_and_is_named(mounts, status, text):
    result = Run(builtin("filesystems", 90.0)).hears(said(mounts)).result
    assert result.status is status
    assert text is None or result.text == text
    assert result.text.isprintable()
    assert len(result.text) <= 120


CPU, OFF = {"logical-id": 0, "online": True, "can-offline": False}, {"logical-id": 1, "online": False}


@pytest.mark.parametrize(("load", "cpus", "status", "text"), [
    ({"load1m": 9.0, "load5m": 4.0, "load15m": 1.0}, [CPU, CPU, OFF], Status.HEALTHY,
     "load 4.00 on 2 vCPUs is 2.00 each, good up to 2"),
    ({"load5m": 4.1}, [CPU, CPU], Status.UNHEALTHY, "load 4.10 on 2 vCPUs is 2.05 each, good up to 2"),
    ({"load5m": 0}, [CPU], Status.HEALTHY, "load 0.00 on 1 vCPUs is 0.00 each, good up to 2"),
    ({"load5m": float("nan")}, [CPU], Status.UNKNOWN, None), ({"load5m": -1.0}, [CPU], Status.UNKNOWN, None),
    ({"load5m": True}, [CPU], Status.UNKNOWN, None), ({"load5m": "1"}, [CPU], Status.UNKNOWN, None),
    ({"load5m": float("inf")}, [CPU], Status.UNKNOWN, None), ({}, [CPU], Status.UNKNOWN, None),
    ([], [CPU], Status.UNKNOWN, None), ({"load5m": 1.0}, [], Status.UNKNOWN, None),
    ({"load5m": 1.0}, [OFF], Status.UNKNOWN, None), ({"load5m": 1.0}, None, Status.UNKNOWN, None),
])  # fmt: skip
def test_the_load_is_that_of_five_minutes_on_each_vcpu(load, cpus, status, text):
    run = Run(builtin("load", 2.0)).hears(said(load), said(cpus))
    assert run.asked == ["guest-get-load", "guest-get-vcpus"]
    assert run.result.status is status
    assert text is None or run.result.text == text


@pytest.mark.parametrize(("value", "status"), [
    ([CPU, CPU], Status.HEALTHY), ([CPU, OFF], Status.UNHEALTHY), ([OFF, OFF], Status.UNKNOWN), ([], Status.UNKNOWN),
    ([{"online": 1}, {"online": "true"}], Status.UNKNOWN), ("x", Status.UNKNOWN), ({"online": True}, Status.UNKNOWN),
])  # fmt: skip
def test_vcpus_count_that_are_online(value, status):
    result = Run(builtin("vcpus", 2.0)).hears(said(value)).result
    assert result.status is status
    if status is Status.UNHEALTHY:
        assert result.text == "1 vCPUs online, good from 2"


@pytest.mark.parametrize(("version", "status"), [
    ("8.2.0", Status.HEALTHY), ("8.2", Status.HEALTHY), ("10.0.13 (Debian 1:10.0.13)", Status.HEALTHY),
    ("108.0.2", Status.HEALTHY), ("8.1.99", Status.UNHEALTHY), ("8", Status.UNHEALTHY), ("7.2.22", Status.UNHEALTHY),
    ("", Status.UNKNOWN), ("v8.2.0", Status.UNKNOWN), (8.2, Status.UNKNOWN), (None, Status.UNKNOWN),
    ("9" * 4000, Status.HEALTHY),
])  # fmt: skip
def test_the_agents_version_is_compared_number_by_number(version, status):
    run = Run(builtin("agent-version", (8, 2, 0))).hears(said({"version": version, "supported_commands": []}))
    assert run.asked == ["guest-info"]
    assert run.result.status is status


def test_a_run_that_is_over_stays_so():
    run = Run(WEB).hears(STARTED, exited(0))
    assert course.step(run.course, RUNNING, 2000.0)[1].status is Status.UNKNOWN
