"""What goes wrong around the agent, with the same oracles for each fault: the exit code, a reason of one line, an end
before Pacemaker's timeout would have come, no process left in the agent's session, and nothing of the caller's left
open in the helper. docs/faults.rst lists where the other faults are tested."""
from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.cell import USER
from tests.harness.cluster import PATH, pids
from tests.harness.endpoint_http import Fault
from tests.harness.guests import boot
from tests.harness.node import AGENT, CONFIG, LOG, RESOURCE, RUN, Node
from tests.harness.wait import until

SECTIONS = {"watch": {"interval": 2, "timeout": 1, "silence": 12}}
STATE = Path("/run/ledgers/state")
DISK = Path("/run/disk")
FREEZER, PIDS = Path("/sys/fs/cgroup/freezer"), Path("/sys/fs/cgroup/pids")
REASON = "ocf-exit-reason:"
BUDGET = 20     # s that Pacemaker gives an action here


class Outcome(NamedTuple):
    code: int
    reason: str
    stderr: str


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if fields[3] == str(leader) and fields[0] != "Z":
                found.append(int(path.name))
    return found


def act(action: str, *, within: Sequence[str] = (), seconds: int = BUDGET, umask: int = -1,
        **parameters: str) -> Outcome:
    """Runs the agent as Pacemaker's executor does, which would kill it after `seconds`. within: a command that runs
    it."""
    before = Node.helpers()
    environment = {**PATH, "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": RESOURCE,
                   "OCF_RESKEY_CRM_meta_timeout": str(seconds * 1000),
                   **{f"OCF_RESKEY_{name}": value for name, value in parameters.items()}}
    with open(__file__) as marker:
        agent = subprocess.Popen([*within, AGENT, action], env=environment, stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", umask=umask,
                                 start_new_session=True, pass_fds=(marker.fileno(),))
        try:
            _, said = agent.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(agent.pid, signal.SIGKILL)
            agent.communicate()
            raise AssertionError(f"{action} took longer than Pacemaker would have given it") from None
    until(lambda: not session(agent.pid), "what the agent has killed to be gone", 5)
    if action == "stop" and agent.returncode == 0:
        for helper in before:       # it leads a session of its own
            assert session(helper) == []
    for helper in Node.helpers():
        assert __file__ not in opened(helper)
    reason = said.rpartition(REASON)[2].splitlines()[0] if REASON in said else ""
    assert (agent.returncode in (0, 7)) == (reason == ""), said
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) <= 128
    return Outcome(agent.returncode, reason, said)


def opened(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(path))
    return found


def injected(calls: str, error: str) -> list[str]:
    """Every one of these system calls of the agent's own fails so."""
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={calls}:error={error}"]


@pytest.fixture
def tidy(node) -> Iterator[None]:
    """No helper before and afterwards, and the configuration as it was."""
    good = CONFIG.read_bytes()
    yield
    if CONFIG.is_dir():
        CONFIG.rmdir()
    CONFIG.unlink(missing_ok=True)
    CONFIG.write_bytes(good)
    CONFIG.chmod(0o640)
    assert act("stop").code == 0
    assert node.helpers() == []


@pytest.fixture
def helper(node, tidy) -> int:
    assert act("start").code == 0
    return node.helper()


@pytest.fixture
def disk(tidy) -> Iterator[Path]:
    """A small file system for the ledger."""
    DISK.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=755", "tmpfs", str(DISK)], check=True)
    yield DISK
    act("stop")
    subprocess.run(["umount", str(DISK)], check=True)
    DISK.rmdir()


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


# Processes


@pytest.mark.skipif(not FREEZER.is_dir(), reason="no freezer of cgroup version 1, whose processes survive KILL")
def test_a_helper_that_cannot_be_killed_fails_its_stop_before_the_timeout_and_with_a_reason(helper):
    frozen = FREEZER / f"masakari-qga-{os.getpid()}"
    frozen.mkdir()
    try:
        (frozen / "cgroup.procs").write_text(str(helper))
        (frozen / "freezer.state").write_text("FROZEN")
        until(lambda: (frozen / "freezer.state").read_text() == "FROZEN\n", "the helper to be frozen")
        stopped = act("stop", seconds=8)
        assert stopped.code == 1
        assert stopped.reason.startswith(f"the helper, process {helper}, survives KILL in state D: it hangs in the")
        assert stopped.reason.endswith("reboot if it stays")
        watched = act("monitor")
        assert (watched.code, "stopped or stuck" in watched.reason) == (1, True)
    finally:
        (frozen / "freezer.state").write_text("THAWED")
        until(lambda: not (frozen / "cgroup.procs").read_text(), "the frozen to be gone")
        frozen.rmdir()
    assert act("stop").code == 0


@pytest.mark.parametrize("stopped", [False, True])
def test_a_start_that_is_killed_before_the_helper_is_ready_leaves_none(node, tidy, stopped):
    """Before it has its lock no stop can know it. It ends by itself when it would say that it is ready."""
    environment = {**PATH, "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": RESOURCE}
    with subprocess.Popen([AGENT, "start"], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as agent:
        pid = until(Node.helpers, "a helper", 20, 0.001)[0]
        os.killpg(agent.pid, signal.SIGKILL)        # as Pacemaker does after the timeout
    assert not stopped or act("stop").code == 0
    until(lambda: not session(pid), "the helper to end", 20)
    assert act("monitor").code == 7


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_a_node_that_can_start_no_process_says_so_and_stops_all_the_same(node, tidy, error):
    nothing = injected("clone,clone3,fork,vfork", error)
    started = act("start", within=nothing)
    assert (started.code, started.reason) == (1, f"the helper cannot be started: {os.strerror(getattr(errno, error))}")
    assert node.helpers() == []
    assert act("start").code == 0
    assert act("monitor", within=nothing).code == 0
    stopped = act("stop", within=nothing)
    assert stopped.code == 0
    assert "node attribute qga-state is not cleared" in stopped.stderr
    assert node.helpers() == []


@pytest.mark.parametrize(("calls", "error"), [
    ("flock", "ENOLCK"), ("pidfd_open", "ENOSYS"), ("pidfd_open", "EMFILE"), ("pidfd_open", "ENOMEM"),
    ("pidfd_send_signal", "EPERM"), ("poll", "ENOMEM"), ("unlink,unlinkat", "EROFS"), ("pipe2", "EMFILE"),
    ("socket", "ENOMEM"), ("getsid", "EPERM"), ("wait4,waitid", "ECHILD"), ("fchmod", "EPERM"),
])
def test_a_stop_succeeds_whatever_the_kernel_refuses_it(node, helper, calls, error):
    assert act("stop", within=injected(calls, error)).code == 0
    assert node.helpers() == []
    assert act("monitor").code == 7


@pytest.mark.parametrize("most", [6, 8, 12, 20])
def test_with_hardly_any_descriptors_a_start_says_so_and_a_stop_works(node, tidy, most):
    few = ["prlimit", f"--nofile={most}:{most}"]
    started = act("start", within=few)
    assert started.code == 1
    assert "open files" in started.reason
    assert node.helpers() == []
    assert act("start").code == 0
    assert act("monitor", within=few).code == 0
    assert act("stop", within=few).code == 0
    assert node.helpers() == []


@pytest.mark.skipif(not PIDS.is_dir(), reason="no cgroup that counts processes")
def test_where_the_helper_can_have_no_thread_the_limit_is_named(node, tidy):
    few = PIDS / f"masakari-qga-{os.getpid()}"
    few.mkdir()
    try:
        (few / "pids.max").write_text("2")      # the agent and the helper
        join = ["sh", "-c", f'echo $$ > {few}/cgroup.procs && exec "$@"', "sh"]
        started = act("start", within=join)
        assert started.code == 1
        assert "raise the limits of the cluster's service" in started.reason
        assert node.helpers() == []
        assert act("start").code == 0
        assert act("stop", within=join).code == 0
        assert node.helpers() == []
    finally:
        few.rmdir()


def test_the_limits_of_its_caller_are_not_the_helpers(node, tidy):
    """As far as it may raise them: without CAP_SYS_RESOURCE that is up to the hard ones."""
    limited = ["prlimit", "--nproc=1:", "--cpu=30:", "--fsize=0:", "--nofile=32:", "--data=50000000:"]
    assert act("start", within=limited).code == 0
    rows = [line.rsplit(None, 3) for line in Path(f"/proc/{node.helper()}/limits").read_text().splitlines()]
    found = {row[0].strip(): row[1:3] for row in rows if len(row) == 4}
    for name in ("Max cpu time", "Max file size", "Max data size", "Max processes"):
        soft, hard = found[name]
        assert soft == hard, name
    assert found["Max open files"] == ["4096", "4096"]
    assert act("monitor", within=limited).code == 0
    assert act("stop", within=limited).code == 0
    assert node.helpers() == []


@pytest.mark.parametrize("umask", [0, 0o777, 0o026])
def test_whatever_umask_it_is_given_its_files_are_nobody_elses(node, tidy, umask):
    for folder in (RUN, STATE):
        shutil.rmtree(folder, ignore_errors=True)
    node.configure(state={"directory": STATE}, **SECTIONS)
    assert act("start", umask=umask).code == 0
    assert act("monitor", umask=umask).code == 0
    for path in (RUN, STATE, *RUN.iterdir(), *STATE.iterdir()):
        assert path.stat().st_mode & 0o027 == 0, path
        assert path.stat().st_mode & 0o600 == 0o600, path
    assert act("stop", umask=umask).code == 0


def test_two_resources_and_two_instances_on_a_node_share_one_helper(node, tidy):
    """Whoever stops one of them stops it for all, until the next monitor of another finds it gone."""
    node.create("op", "monitor", "interval=2s", "timeout=20s")
    try:
        pid = node.helper()
        node.cluster.pcs("resource", "create", "second", "ocf:masakari:qga", "clone", "globally-unique=true",
                         "clone-node-max=2", "clone-max=2", "--wait=60")
        started = [it.id for it in node.cluster.resources() if it.role == "Started"]
        assert sorted(started) == [RESOURCE, "second:0", "second:1"]
        assert node.helpers() == [node.helper()] == [pid]
        assert node.cluster.failures() == []
        node.cluster.pcs("resource", "delete", "second", "--force")
        node.wait_helper(other_than=pid)
        node.wait_attribute("qga-state", "ok")
        assert len(node.helpers()) == 1
    finally:
        node.discard()


# Storage


def test_a_full_disk_fails_the_start_with_its_remedy_and_the_next_one_begins(node, disk):
    filler = fill(disk)
    node.configure(state={"directory": disk / "state"}, **SECTIONS)
    started = act("start")
    assert (started.code, node.helpers()) == (1, [])
    assert "room" in started.reason
    assert act("stop").code == 0
    filler.unlink()
    assert act("start").code == 0
    assert act("monitor").code == 0


def test_a_disk_that_fills_up_stops_no_helper_and_qga_state_says_so_until_there_is_room(node, disk):
    node.configure(state={"directory": disk / "state"}, **SECTIONS)
    with boot(80) as first, boot(81) as second:
        assert act("start").code == 0
        pid = node.helper()
        for guest in (first, second):
            node.wait_state(guest.uuid, "healthy")
        filler = fill(disk)
        first.kill_qemu()
        until(lambda: "ledger" in node.status()["state"], "the state to name the ledger", 60)
        assert act("monitor").code == 0
        filler.unlink()
        assert node.endpoint.wait(1)[0].notification["payload"]["instance_uuid"] == first.uuid
        until(lambda: "ledger" not in node.status()["state"], "the ledger to be well", 60)
        assert node.state(second.uuid) == "healthy"
        assert node.helper() == pid
        assert act("stop").code == 0
    node.endpoint.attempts.clear()


@pytest.mark.parametrize(("fault", "said"), [
    ("read-only", "read-only"), ("no inodes", ""), ("a file", ""), ("others may write", "chmod 0700"),
])
def test_a_place_that_holds_no_ledger_is_named_with_what_to_do(node, disk, fault, said):
    state = disk / "state"
    node.configure(state={"directory": state}, **SECTIONS)
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    elif fault == "no inodes":
        with contextlib.suppress(OSError):
            for number in range(100):
                (disk / str(number)).touch()
    elif fault == "a file":
        state.touch()
    else:
        state.mkdir()
        state.chmod(0o777)
    started = act("start")
    assert started.code in (1, 4)
    assert str(state) in started.reason or str(disk) in started.reason, started.reason
    assert said in started.reason.lower()
    assert act("monitor").code == 7
    assert act("stop").code == 0
    assert node.helpers() == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 4096, b"no ledger at all\n" * 1000])
def test_a_ledger_that_is_damaged_is_put_aside_and_watching_begins_at_once(node, disk, content):
    state = disk / "state"
    state.mkdir(mode=0o700)
    (state / "ledger.sqlite").write_bytes(content)
    node.configure(state={"directory": state}, **SECTIONS)
    assert act("start").code == 0
    assert act("monitor").code == 0
    assert [path.name for path in state.glob("*.corrupt-1")] == ["ledger.sqlite.corrupt-1"] * bool(content)
    assert len(node.helpers()) == 1


def test_a_run_directory_without_room_keeps_nobody_from_stopping(node, helper):
    limit = ["unshare", "--mount", "sh", "-c",
             f"mount -o bind,ro {RUN} {RUN}; mount -o remount,bind,ro {RUN} && exec \"$@\"", "sh"]
    stopped = act("stop", within=limit)
    assert stopped.code == 0, stopped.stderr
    assert "is left behind: Read-only file system" in stopped.stderr
    assert node.helpers() == []
    started = act("start", within=limit)
    assert (started.code, "Read-only file system" in started.reason) == (1, True)


# The log


@pytest.mark.parametrize("to", ["/nonexistent/log", "/dev/full", "/run", "a pipe", "syslog"])
def test_a_log_that_cannot_be_written_changes_nothing(node, tidy, to):
    pipe = Path("/run/pipe")
    if to == "a pipe":
        os.mkfifo(pipe)
        to = str(pipe)
    else:
        assert not Path("/dev/log").exists()
    node.configure(log={"to": to}, **SECTIONS)
    assert [act(action).code for action in ("start", "monitor", "start", "reload-agent", "stop")] == [0] * 5
    pipe.unlink(missing_ok=True)


def test_a_log_that_is_rotated_as_the_package_says_goes_on(node, tidy):
    """In a directory of root's, the next file made for whom the old one was, as logrotate does it."""
    folder = Path("/var/log/masakari-qga")
    folder.mkdir(mode=0o750)
    shutil.chown(folder, "root", USER)
    node.configure(log={"to": folder / "helper.log"}, **SECTIONS)
    assert act("start").code == 0
    until(lambda: "began" in (folder / "helper.log").read_text(), "the log to begin")
    (folder / "helper.log").rename(folder / "helper.log.1")
    (folder / "helper.log").touch(0o600)
    shutil.chown(folder / "helper.log", USER, USER)
    assert act("reload-agent", timeout="3").code == 0
    until(lambda: "reloaded" in (folder / "helper.log").read_text(), "the log to go on")
    assert (folder / "helper.log.1").owner() == USER
    assert act("stop").code == 0
    shutil.rmtree(folder)


# Configuration


@pytest.mark.parametrize("what", ["a directory", "a pipe", "binary", "huge", "a loop of links", "of others"])
def test_a_configuration_that_is_none_is_refused_in_time_and_a_stop_does_not_mind(node, tidy, what):
    content = CONFIG.read_bytes()
    CONFIG.unlink()
    expected = 2
    if what == "a directory":
        CONFIG.mkdir()
    elif what == "a pipe":
        os.mkfifo(CONFIG, 0o600)
        expected = 0        # empty, as far as anybody can tell without waiting
    elif what == "binary":
        CONFIG.write_bytes(bytes(range(256)) * 10)
    elif what == "huge":
        CONFIG.write_bytes(b"# much\n" * 300_000)
    elif what == "a loop of links":
        CONFIG.symlink_to(CONFIG)
    else:
        CONFIG.write_bytes(content + b"[other]\nx = 1\n")
    started = act("start")
    assert started.code == expected
    assert str(CONFIG) in started.reason or expected == 0
    assert act("validate-all").code == 0
    assert act("monitor").code == (7 if expected else 0)
    assert act("stop").code == 0
    assert node.helpers() == []


def test_a_configuration_that_is_spoilt_under_a_running_helper_leaves_it_as_it_is(node, helper):
    CONFIG.write_text("[watch]\ninterval = never\n")
    reloaded = act("reload-agent", timeout="3")
    assert reloaded.code == 1
    assert "interval = 'never'" in reloaded.reason
    assert act("monitor").code == 0
    assert act("start").code == 0       # adopted, with a warning
    assert node.helper() == helper
    assert "changed: watch" not in node.log()[-300:]


# The surroundings


def test_attrd_that_hangs_delays_no_action_beyond_its_time(node, helper):
    attrd = pids("pacemaker-attrd")[0]
    os.kill(attrd, signal.SIGSTOP)
    try:
        assert act("monitor", seconds=5).code == 0
        stopped = act("stop", seconds=8)
        assert stopped.code == 0
        assert "node attribute qga-state is not cleared" in stopped.stderr
        assert node.helpers() == []
        assert act("start", seconds=8).code == 0
        assert act("stop", seconds=8).code == 0
    finally:
        os.kill(attrd, signal.SIGCONT)
    assert act("stop").code == 0
    until(lambda: not [name for name in node.cluster.attributes() if name.startswith("qga-")],
          "the attributes to be cleared by the next stop", 20)


def test_libvirtd_that_hangs_delays_no_action_beyond_its_time(node, tidy):
    node.libvirtd.freeze()
    try:
        assert [act(action, seconds=8).code for action in ("start", "monitor", "reload-agent", "stop")] == [0] * 4
        assert node.helpers() == []
    finally:
        node.libvirtd.thaw()


def test_a_stop_in_the_middle_of_a_report_leaves_no_sender_behind(node, tidy):
    with boot(82) as guest:
        assert act("start").code == 0
        node.wait_state(guest.uuid, "healthy")
        node.endpoint.fail(Fault.HANG, times=0)
        guest.kill_qemu()
        senders = until(lambda: [pid for pid in _all() if "sender.py" in _words(pid)], "the sender", 60)
        until(lambda: node.endpoint.attempts, "a report that is not answered", 60)
        assert act("stop", seconds=10).code == 0
        assert node.helpers() == []
        until(lambda: not [pid for pid in senders if os.path.exists(f"/proc/{pid}/exe")], "the sender to be gone", 5)
    node.endpoint.heal()
    node.endpoint.attempts.clear()


def _all() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_the_log_of_the_tests_themselves_is_plain():
    assert all(line.isascii() and line.isprintable() for line in Path(LOG).read_text().splitlines())
