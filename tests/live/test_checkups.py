"""Health checks against a real agent, call for call and without the helper: what each of them comes to."""
from __future__ import annotations

import json
import time

import libvirt
import libvirt_qemu
import pytest

from heartbeat.health import course, replies
from heartbeat.health.course import Course, Result, Status
from heartbeat.health.definition import BUILTIN, EXEC, FILE, Check
from heartbeat.health.replies import Call, Reply
from heartbeat.probe import Answer, Failure, read_failure, read_value
from tests.harness.applications import PROGRAM, STATUS
from tests.harness.guests import Guest
from tests.harness.wait import until

FILE_CHECK = Check("file", FILE, path=STATUS, fresh=10.0)
EXEC_COMMANDS = ("guest-exec", "guest-exec-status")
FILE_COMMANDS = ("guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write", "guest-file-seek",
                 "guest-file-flush")


def program(mode: str, *words: str, **options: object) -> Check:
    return Check(mode, EXEC, command=(PROGRAM, mode, *words), **options)


def builtin(measure: str, limit: object) -> Check:
    return Check(measure, BUILTIN, measure=measure, limit=limit)


@pytest.fixture(scope="module")
def guest(libvirtd, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk") / "disk.img"
    with Guest(9001, disk=str(disk), memory=320) as guest:      # a flood of output lies in its agent's memory
        guest.start()
        guest.wait_agent()
        yield guest


def put(guest: Guest, call: Call) -> Reply:
    time.sleep(call.after)
    request = json.dumps({"execute": call.execute, "arguments": dict(call.arguments)})
    domain, began = guest.domain, time.monotonic()
    try:
        answer, value = read_value(libvirt_qemu.qemuAgentCommand(domain, request, call.timeout, 0))
    except libvirt.libvirtError as error:
        failure, took = Failure(error.get_error_code(), error.get_error_domain()), time.monotonic() - began
        return Reply(read_failure(failure, took, call.timeout), None, error.get_error_message(), took)
    return Reply(answer, value, "", time.monotonic() - began)


def run(guest: Guest, check: Check, before: Course | None = None, capabilities: replies.Capabilities | None = None
        ) -> tuple[Course, Result]:
    it, at = course.begin(check, capabilities, time.monotonic(), before)
    while isinstance(at, Call):
        reply = put(guest, at)
        it, at = course.step(it, reply, time.monotonic())
    return it, at


def status(guest: Guest, check: Check) -> tuple[Status, str]:
    return run(guest, check)[1][:2]


def test_a_program_says_how_the_application_is(guest):
    check = program("flip", reset=True)
    assert status(guest, check) == (Status.HEALTHY, "all is well")
    for code, verdict in ((1, Status.UNHEALTHY), (2, Status.INITIALISING), (3, Status.UNKNOWN), (0, Status.HEALTHY)):
        guest.says(code, "queue 12")
        assert status(guest, check) == (verdict, "queue 12")
    guest.says(77, "what")
    assert status(guest, check) == (Status.UNKNOWN, "exit code 77, which has no meaning here: what")
    guest.says(1, "reset-me wedged")
    assert status(guest, check) == (Status.RESET, "reset-me wedged")


def test_a_program_that_is_not_there_or_is_killed_decides_nothing(guest):
    assert status(guest, Check("none", EXEC, command=("/no/such/program",))) == (
        Status.CANNOT, "the guest has no /no/such/program")
    killed = Check("killed", EXEC, command=("/bin/sh", "-c", "kill -9 $$"))
    assert status(guest, killed) == (Status.UNKNOWN, "ended by signal 9")


def test_garbage_is_shown_and_nothing_else(guest):
    verdict, text = status(guest, program("garbage", "1"))
    assert verdict is Status.UNHEALTHY
    assert text.isascii()
    assert text.isprintable()
    assert r"\x1b[2J\x01</a>&" in text


def test_a_program_that_hangs_is_one_process_until_it_ends(guest):
    check = program("hang", timeout=1.0)
    it, result = run(guest, check)
    assert (result.status, result.text) == (Status.UNKNOWN, "still running after 1 s")
    for _ in range(2):
        it, result = run(guest, check, it)
        assert result.text.endswith("s ago and still running")
    assert len(guest.checkups("hang")) == len(guest.running("hang")) == 1
    guest.run(f"kill -9 {guest.running('hang')[0]}")
    until(lambda: guest.running("hang") == [], "the program to end")
    it, result = run(guest, check, it)
    assert len(guest.checkups("hang")) == 2, "the first is gone: another is begun"
    guest.run(f"kill -9 {guest.running('hang')[0]}")


def test_a_process_is_forgotten_when_its_agent_begins_anew(guest):
    it, _ = run(guest, program("hang", timeout=1.0))
    assert it.process in guest.running("hang")
    guest.forbid()
    reply = put(guest, Call("guest-exec-status", {"pid": it.process}, 5))
    assert replies.objection(reply) is replies.Refusal.GONE, reply
    guest.run(f"kill -9 {it.process}")


def test_what_a_file_says_counts_while_it_is_fresh(guest):
    guest.run(f"rm -f {STATUS}")
    assert status(guest, FILE_CHECK) == (Status.UNHEALTHY, f"there is no {STATUS}")
    guest.writes("healthy", "42 connections")
    assert status(guest, FILE_CHECK) == (Status.HEALTHY, "42 connections")
    guest.writes("healthy", age=30)
    verdict, text = status(guest, FILE_CHECK)
    assert verdict is Status.UNHEALTHY
    assert text.endswith("s old, good up to 10")
    guest.writes("healthy", age=-3600)
    assert status(guest, FILE_CHECK)[0] is Status.UNKNOWN
    guest.run(f": >{STATUS}")
    assert status(guest, FILE_CHECK)[0] is Status.UNKNOWN
    assert status(guest, FILE_CHECK._replace(path="/run"))[0] is Status.UNKNOWN
    held = guest.run("ls -l /proc/$(cat /run/qemu-ga.pid)/fd")
    assert STATUS not in held
    assert " /run\n" not in held


def test_the_agent_measures(guest):
    guest.mount_disk()
    assert status(guest, builtin("filesystems", 50.0))[0] is Status.HEALTHY
    guest.fills(12)
    verdict, text = status(guest, builtin("filesystems", 50.0))
    assert verdict is Status.UNHEALTHY
    assert text.startswith("/data is ")
    guest.frees()
    assert status(guest, builtin("vcpus", 1.0)) == (Status.HEALTHY, "1 vCPUs online, good from 1")
    assert status(guest, builtin("vcpus", 2.0))[0] is Status.UNHEALTHY
    assert status(guest, builtin("answer-time", 5000.0))[0] is Status.HEALTHY
    assert status(guest, builtin("answer-time", 0.0))[0] is Status.UNHEALTHY
    assert status(guest, builtin("agent-version", (7, 2)))[0] is Status.HEALTHY
    assert status(guest, builtin("agent-version", (99,)))[0] is Status.UNHEALTHY
    known = replies.capabilities(put(guest, replies.INFO).value)
    assert known
    if "guest-get-load" in known.commands:      # from QEMU 10
        assert status(guest, builtin("load", 1000.0))[0] is Status.HEALTHY
    else:
        assert status(guest, builtin("load", 1.0)) == (Status.CANNOT, "its agent does not know guest-get-load")


def test_what_the_agent_is_forbidden_cannot_be_checked(guest):
    guest.forbid(*EXEC_COMMANDS, *FILE_COMMANDS)
    known = replies.capabilities(put(guest, replies.INFO).value)
    assert known
    assert "guest-get-vcpus" in known.commands
    assert not known.commands & {*EXEC_COMMANDS, *FILE_COMMANDS}
    for check, command in ((program("flip"), "guest-exec"), (FILE_CHECK, "guest-file-open")):
        before = len(guest.checkups("flip"))
        assert run(guest, check, None, known)[1].status is Status.CANNOT
        assert status(guest, check) == (Status.CANNOT, f"its agent does not allow {command}")
        assert len(guest.checkups("flip")) == before
    assert run(guest, builtin("vcpus", 1.0), None, known)[1].status is Status.HEALTHY
    guest.forbid()
    assert status(guest, program("flip"))[0] is not Status.CANNOT


def test_a_guest_whose_file_systems_are_frozen_is_neither_ill_nor_unable(guest):
    guest.ask("guest-fsfreeze-freeze", seconds=20)
    try:
        assert replies.capabilities(put(guest, replies.INFO).value) is None
        verdict, text = status(guest, program("flip"))
        assert verdict in (Status.UNKNOWN, Status.CANNOT), text     # by its version the agent says which
    finally:
        guest.ask("guest-fsfreeze-thaw", seconds=20)
    assert replies.capabilities(put(guest, replies.INFO).value)


def test_a_flood_that_libvirt_can_bear_is_not_asked_for_again(guest):
    """4 MiB are one message's most; 10 MiB are the channel's."""
    check = program("flood", "5", timeout=30.0)
    it, result = run(guest, check)
    assert result.status is Status.UNKNOWN
    assert guest.ask() is not None, "the agent answers on"
    it, result = run(guest, check, it)
    assert result[:2] == (Status.HEALTHY, "its output is too much to be read")


def test_a_flood_that_breaks_the_channel_is_over_when_it_is_opened_anew(guest):
    check = program("flood", "20", timeout=30.0)
    it, result = run(guest, check)
    assert result.status is Status.UNKNOWN
    assert put(guest, replies.INFO).answer is Answer.NOT_CONNECTED
    # libvirt does not read on, so the agent cannot end what it has begun to say: no signal but SIGKILL gets through
    guest.kill_agent()
    until(lambda: guest.channel == "disconnected", "libvirt to see the agent gone")
    guest.start_agent()
    guest.wait_agent()
    it, result = run(guest, check, course.reconnected(it))
    assert result[:2] == (Status.HEALTHY, "its output is too much to be read")
