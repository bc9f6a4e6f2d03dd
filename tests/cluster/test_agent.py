"""The installed agent run by hand, as an administrator or Pacemaker would: codes, and what the helper is left with."""
from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.cell import USER
from tests.harness.cluster import PATH
from tests.harness.node import AGENT, CONFIG, RUN

STATE = Path("/run/ledgers/state")
SECTIONS = {"state": {"directory": STATE}}      # one that the helper has to make
REASON = "ocf-exit-reason:"


@pytest.fixture
def helper(node):
    """A helper, started by hand, and no resource in the cluster."""
    assert node.agent("start").returncode == 0
    try:
        yield node.helper()
    finally:
        stopped = node.agent("stop")
        assert stopped.returncode == 0, stopped.stderr


# The current directory is removed, signals are ignored and blocked, a descriptor is left open, and the
# descriptors 0 to 2 are closed as asked for.
HOSTILE = """
import os, signal, sys
closed, agent, action = sys.argv[1:]
os.set_inheritable(os.open(__file__, os.O_RDONLY), True)
os.rmdir(os.getcwd())
os.umask(0o026)
for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for number in filter(None, closed.split(",")):
    os.close(int(number))
os.execv(agent, [agent, action])
"""


def reason(ran: subprocess.CompletedProcess[str]) -> str:
    """The one that Pacemaker shows: what follows the last prefix."""
    said = ran.stderr.rpartition(REASON)[2].splitlines()[0]
    assert said.isascii()
    assert len(said) <= 128
    return said


def process(pid: int, fact: str) -> str:
    """A line of /proc/PID/status, by its name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{fact}:"))


def nothing_of_its_callers(helper: int) -> None:
    home = Path(f"/proc/{helper}")
    assert os.getsid(helper) == os.getpgid(helper) == helper
    assert os.readlink(home / "cwd") == "/"
    assert [os.readlink(home / "fd" / str(number)) for number in (0, 1, 2)] \
        == ["/dev/null", "/dev/null", str(RUN / "helper.err")]
    assert process(helper, "Umask") == "0077"
    assert int(process(helper, "SigBlk"), 16) == 0
    assert (home / "environ").read_bytes().split(b"\0")[:-1] \
        == [b"PATH=/usr/sbin:/usr/bin:/sbin:/bin", b"LC_ALL=C.UTF-8", b"HOME=/root", b"MALLOC_ARENA_MAX=1"]


def files_are_for_nobody_else() -> None:
    def mode(path: Path) -> str:
        return stat.filemode(path.stat().st_mode)

    # The helper's group gets through to the lock, whose disappearance it notices; it can neither open nor replace it.
    assert (mode(RUN), RUN.owner(), RUN.group(), mode(STATE)) == ("drwxr-x---", "root", USER, "drwx------")
    assert mode(RUN / "control.sock") == "srw-------"
    modes = {path.name: mode(path) for path in (*RUN.iterdir(), *STATE.iterdir()) if path.is_file()}
    assert {"lock", "agent.lock", "helper.err", "ledger.sqlite"} <= modes.keys()
    assert set(modes.values()) == {"-rw-------"}, modes


def test_start_and_stop_may_be_repeated(node):
    assert [node.agent(action).returncode for action in ("monitor", "stop", "stop", "monitor")] == [7, 0, 0, 7]
    assert [node.agent(action).returncode for action in ("start", "monitor", "start", "monitor")] == [0, 0, 0, 0]
    assert node.helpers() == [node.helper()]
    assert [node.agent(action).returncode for action in ("stop", "monitor", "stop", "monitor")] == [0, 7, 0, 7]
    assert node.helpers() == []


def test_two_starts_at_once_make_one_helper(node):
    with ThreadPoolExecutor(2) as pool:
        ran = list(pool.map(lambda name: node.agent("start", OCF_RESOURCE_INSTANCE=name), ("one", "another")))
    assert [start.returncode for start in ran] == [0, 0], [start.stderr for start in ran]
    assert node.helpers() == [node.helper()]
    assert node.agent("stop").returncode == 0


def test_start_and_stop_at_once_leave_one_helper_or_none_and_fail_neither(node):
    with ThreadPoolExecutor(2) as pool:
        ran = list(pool.map(node.agent, ("start", "stop")))
    assert [one.returncode for one in ran] == [0, 0], [one.stderr for one in ran]
    left = node.agent("monitor").returncode
    assert (left, len(node.helpers())) in ((0, 1), (7, 0))
    assert node.agent("stop").returncode == 0


def test_a_stopped_helper_is_ended_within_the_timeout_of_stop(node, helper):
    os.kill(helper, signal.SIGSTOP)
    stopped = node.agent("stop", seconds=20, OCF_RESKEY_CRM_meta_timeout="20000")
    assert stopped.returncode == 0, stopped.stderr
    assert node.helpers() == []


def test_stop_and_monitor_work_whatever_the_parameters_and_the_configuration_are(node, helper):
    good = CONFIG.read_bytes()
    nonsense = {"OCF_RESKEY_interval": "never", "OCF_RESKEY_config": "/nowhere", "OCF_RESKEY_CRM_meta_timeout": "soon"}
    CONFIG.unlink()
    try:
        assert node.agent("monitor", **nonsense).returncode == 0
        assert node.agent("stop", **nonsense).returncode == 0
        assert node.agent("monitor", **nonsense).returncode == 7
    finally:
        CONFIG.write_bytes(good)
        CONFIG.chmod(0o640)
    assert node.helpers() == []


@pytest.mark.parametrize(("lock", "code"), [("missing", 7), ("stale", 7), ("a directory", 7), ("a link", 1)])
def test_a_probe_never_says_that_the_node_is_unfit(node, lock, code):
    """2 and 5 would ban the node without a word in crm_mon, and 190 would stay for ever."""
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(mode=0o700)
    (RUN / "control.sock").write_text("left by something else")
    if lock == "stale":
        (RUN / "lock").write_text("1 1 0.0.1\n")
    elif lock == "a directory":
        (RUN / "lock").mkdir()
    elif lock == "a link":
        (RUN / "lock").symlink_to("/dev/null")
    ran = node.agent("monitor")
    shutil.rmtree(RUN)
    assert ran.returncode == code, ran.stderr
    assert code == 7 or "lock cannot be examined" in reason(ran)


def test_the_helper_has_nothing_of_its_callers(helper):
    nothing_of_its_callers(helper)


def test_files_are_for_nobody_else(helper):
    files_are_for_nobody_else()


@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_started_from_a_hostile_environment_it_runs_and_its_files_are_as_ever(node, tmp_path, closed):
    for name in ("sitecustomize", "usercustomize", "json", "heartbeat", "qga_ra", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__name__} was loaded from PYTHONPATH')\n")
    (tmp_path / "caller").write_text(HOSTILE)
    for folder in (RUN, STATE):
        shutil.rmtree(folder, ignore_errors=True)
    hostile = {
        **PATH, "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "qga", "LC_ALL": "C", "LANG": "tlh_QO",
        "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PYTHONINSPECT": "1", "PYTHONIOENCODING": "ebcdic", "http_proxy": "http://127.0.0.1:9", "HOME": "/nonexistent",
    }

    def run(action: str) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        words = ["/usr/bin/python3", "-I", str(tmp_path / "caller"), ",".join(map(str, closed)), AGENT, action]
        ran = subprocess.run(words, env=hostile, cwd=gone, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=60)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not gone.exists()

    try:
        run("start")
        run("monitor")
        nothing_of_its_callers(node.helper())
        files_are_for_nobody_else()
        opened = [os.readlink(path) for path in Path(f"/proc/{node.helper()}/fd").iterdir()]
        assert str(tmp_path / "caller") not in opened
        run("stop")
        assert node.helpers() == []
    finally:
        node.agent("stop")


def test_an_unknown_action_is_not_implemented(node):
    assert node.agent("fence").returncode == 3


def test_a_start_names_a_wrong_parameter_its_value_and_what_to_give(node):
    ran = node.agent("start", OCF_RESKEY_interval="1")
    assert (ran.returncode, reason(ran)) == (6, "parameter interval = '1': out of range; give 2 to 300 s")
    assert node.helpers() == []


def test_validation_without_a_level_looks_at_no_host_and_with_10_it_does(node):
    good = CONFIG.read_bytes()
    ten = {"OCF_CHECK_LEVEL": "10"}
    found = node.agent("validate-all", **ten)
    assert found.returncode == 0, found.stdout + found.stderr
    try:
        CONFIG.chmod(0o644)
        exposed = node.agent("validate-all", **ten)
        assert (exposed.returncode, "0644" in reason(exposed), "chmod" in reason(exposed)) == (4, True, True)
        CONFIG.write_text("[watch]\ninterval = often\n")
        assert node.agent("validate-all", **ten).returncode == 2
        CONFIG.unlink()
        assert node.agent("validate-all", **ten).returncode == 2
        assert [node.agent("validate-all", **level).returncode for level in ({}, {"OCF_CHECK_LEVEL": "0"})] == [0, 0]
    finally:
        CONFIG.write_bytes(good)
        CONFIG.chmod(0o640)


def test_validation_at_level_10_says_that_libvirt_is_away(node):
    node.libvirtd.stop()
    try:
        away = node.agent("validate-all", OCF_CHECK_LEVEL="10")
        assert away.returncode == 1
        assert reason(away).startswith("libvirt at qemu:///system")
    finally:
        node.libvirtd.start()
