"""ocf:masakari:qga as Pacemaker runs it: processes of the script, from a copy of the tree whose paths lead into a
temporary directory and whose helper is a stand-in."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from heartbeat import __version__, configuration
from heartbeat.settings import ATTRIBUTES, HEALTH
from qga_ra import attributes, client, holder

OURS = (*ATTRIBUTES, HEALTH)
ROOT = Path(__file__).resolve().parents[2]
# What Pacemaker's executor leaves in the environment, and some of what it should not.
ENVIRONMENT = {
    "LC_ALL": "C",
    "OCF_ROOT": "/usr/lib/ocf",
    "OCF_RESOURCE_INSTANCE": "qga-monitor",
    "OCF_RESKEY_CRM_meta_on_node": "node-1",
    "OCF_RESKEY_CRM_meta_timeout": "20000",
    "OCF_RESKEY_CRM_meta_clone": "0",
    "PYTHONPATH": "/nonexistent",
    "PYTHONHOME": "/nonexistent",
}


class Result(NamedTuple):
    code: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """What Pacemaker would show for a failure."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("ocf-exit-reason:")]
        assert len(lines) == 1, self.stderr
        reason = lines[0].partition(":")[2]
        assert reason.isascii()
        assert reason.isprintable()
        assert len(reason) <= 128
        return reason


class Agent:
    """The agent of one temporary node."""

    def __init__(self, root: Path) -> None:
        self.root, self.run, self.config = root, root / "run", root / "behaviour.json"
        self.bin = root / "bin"
        self.bin.mkdir()
        self.attrd_updater(f'echo "$@" >> {root}/attrd')
        for package in ("qga_ra", "heartbeat"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "__main__.py"))
        shutil.copy(ROOT / "tests/unit/standin.py", root / "heartbeat/__main__.py")
        self.script = root / "qga"
        shutil.copy(ROOT / "ocf/qga", self.script)
        for path in [self.script, *root.glob("*/*.py")]:
            text = path.read_text()
            text = text.replace("/usr/lib/masakari-qga", str(root)).replace("/run/masakari-qga", str(self.run))
            path.write_text(text.replace('PATH = "/usr/sbin:', f'PATH = "{self.bin}:/usr/sbin:'))
        self.behave()

    def behave(self, **behaviour: object) -> None:
        """How the next helper is to behave."""
        self.config.write_text("# " + json.dumps({"run": str(self.run), **behaviour}))

    def attrd_updater(self, script: str) -> None:
        path = self.bin / "attrd_updater"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def __call__(self, *arguments: str, **options: object) -> Result:
        environment = {**ENVIRONMENT, "OCF_RESKEY_config": str(self.config)}
        environment.update(options.pop("env", {}))
        run = subprocess.run(
            [str(self.script), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            timeout=60,
            check=False,
            **options,
        )
        return Result(run.returncode, run.stdout.decode(), run.stderr.decode())

    @property
    def pids(self) -> list[int]:
        return holder.holders(str(self.run / "lock"))

    @property
    def asked(self) -> list[dict[str, object]]:
        """The requests, other than pings, that the helper got, without the configuration that was read for it."""
        return [{name: value for name, value in request.items() if name not in ("configuration", "hostname")}
                for request in self.requests]  # fmt: skip

    @property
    def requests(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.run / "asked").read_text().splitlines()]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path)
    yield agent
    for pid in agent.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def suspended(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 20
    while holder.status(pid).state != "T":
        assert time.monotonic() < end
        time.sleep(0.01)


# The life of a resource


def test_a_resource_lives_as_ocf_wants_it(agent):
    """The order of ocf-tester: each action twice, and always the same answer."""
    assert agent("monitor").code == 7
    assert agent("stop").code == 0
    assert agent("start") == (0, "", "")
    assert agent("monitor") == (0, "", "")
    pids = agent.pids
    assert len(pids) == 1
    assert agent("start").code == 0
    assert agent.pids == pids, "the second start adopts"
    assert agent("monitor").code == 0
    assert agent("stop") == (0, "", "")
    assert agent.pids == []
    assert agent("monitor").code == 7
    assert agent("stop").code == 0


def test_start_passes_what_was_set_and_nothing_else(agent):
    agent("start", env={"OCF_RESKEY_interval": "5", "OCF_RESKEY_backends": "", "OCF_RESKEY_unheard_of": "x"})
    arguments = Path(f"/proc/{agent.pids[0]}/cmdline").read_text().split("\0")[:-1]
    assert arguments == [
        *("/usr/bin/python3", "-I", str(agent.root / "heartbeat"), "--config", str(agent.config)),
        *("--node", "node-1", "--set", "interval=5"),
    ]
    assert os.stat(agent.run).st_mode & 0o777 == 0o700


def test_a_helper_that_survived_pacemaker_is_adopted_and_gets_the_parameters(agent):
    agent("start")
    pids = agent.pids
    assert agent("start", env={"OCF_RESKEY_interval": "7"}) == (0, "", "")
    assert agent.pids == pids
    assert agent.asked == [{"do": "reload", "parameters": {"interval": "7"}, "node": "node-1"}]


def test_an_adopted_helper_that_refuses_is_a_warning_only(agent):
    agent.behave(reply={"ok": False, "error": "not now"})
    agent("start")
    result = agent("start")
    assert result.code == 0
    assert result.stderr == "masakari-qga: the helper refuses the parameters: not now\n"


def test_a_stuck_helper_is_replaced_by_start(agent):
    agent.behave(age=60_000)
    assert agent("start").code == 1
    old = agent.pids
    agent.behave()
    result = agent("start")
    assert result.code == 0
    assert "makes no progress since 60 s" in result.stderr
    assert len(agent.pids) == 1
    assert agent.pids != old


def test_a_helper_that_is_ready_but_does_not_answer_is_no_success(agent):
    agent.behave(age=60_000)
    assert agent("start").reason.startswith("the helper got ready and then did not answer")


def test_the_helpers_own_exit_code_and_last_words_are_those_of_start(agent):
    agent.behave(exit=2, words="/etc/x.conf line 3: watch.intervall: unknown option; did you mean interval?\n")
    result = agent("start")
    assert result.code == 2
    assert result.reason == "/etc/x.conf line 3: watch.intervall: unknown option; did you mean interval?"


def test_a_helper_that_never_gets_ready_is_gone_before_the_timeout(agent):
    agent.behave(hang=True)
    result = agent("start", env={"OCF_RESKEY_CRM_meta_timeout": "4000"})
    assert (result.code, agent.pids) == (1, [])
    assert "not ready after 3 s" in result.reason


def test_an_orphan_of_a_start_that_was_killed_in_the_middle_is_removed_by_stop(agent):
    agent.behave(hang=True)
    environment = {**ENVIRONMENT, "OCF_RESKEY_config": str(agent.config)}
    with subprocess.Popen([agent.script, "start"], env=environment, start_new_session=True) as start:
        end = time.monotonic() + 20
        while not agent.pids:
            assert time.monotonic() < end
            time.sleep(0.02)
        os.killpg(start.pid, signal.SIGKILL)  # as Pacemaker does
    assert agent.pids, "the helper has a session of its own"
    assert agent("stop").code == 0
    assert agent.pids == []


def test_two_starts_at_once_make_one_helper(agent):
    environment = {**ENVIRONMENT, "OCF_RESKEY_config": str(agent.config)}
    starts = [subprocess.Popen([agent.script, "start"], env=environment, stdout=-1, stderr=-1) for _ in range(4)]
    assert [start.communicate() and start.returncode for start in starts] == [0] * 4
    assert len(agent.pids) == 1


# Monitor


def test_a_killed_helper_is_not_running(agent):
    agent("start")
    os.kill(agent.pids[0], signal.SIGKILL)
    end = time.monotonic() + 20
    while agent.pids:
        assert time.monotonic() < end
    assert agent("monitor") == (7, "", "")


def test_a_suspended_helper_is_a_failure_with_a_reason_and_stop_ends_it(agent):
    agent("start")
    suspended(agent.pids[0])
    result = agent("monitor")
    assert result.code == 1
    assert result.reason == "the helper does not answer within 5 s: stopped or stuck (its lock is held)"
    assert agent("stop").code == 0
    assert agent.pids == []


def test_a_helper_without_progress_is_a_failure_with_a_reason(agent):
    agent.behave(age=15_001)
    agent("start")
    result = agent("monitor")
    assert result.code == 1
    assert result.reason == f"the helper, process {agent.pids[0]}, makes no progress since 15 s: stuck; restart it"


def test_a_running_helper_without_its_socket_is_a_failure_with_a_reason(agent):
    agent("start")
    (agent.run / "control.sock").unlink()
    result = agent("monitor")
    assert result.code == 1
    assert result.reason == "the helper's control socket is missing (its lock is held)"


def test_a_helper_whose_lock_file_was_deleted_still_lives(agent):
    agent("start")
    (agent.run / "lock").unlink()
    assert agent("monitor").code == 0
    suspended(agent.pids[0])
    result = agent("monitor")
    assert result.code == 1
    assert result.reason.endswith("(its lock is missing)")


def test_a_monitor_of_a_sound_helper_loads_nothing_of_ours(agent):
    agent("start")
    (agent.root / "qga_ra").rename(agent.root / "away")
    assert agent("monitor") == (0, "", "")


def test_the_script_and_the_client_agree_on_what_a_sound_helper_is():
    script = (ROOT / "ocf/qga").read_text()
    for fact in (f'b"{__version__}"', f"<= {client.FRESH}:", f'"{client.SOCKET}"'):
        assert script.count(fact) == 1, fact


def test_after_an_upgrade_the_old_helper_is_fine_but_a_restart_is_advised(agent):
    agent.behave(version="0.0.9")
    agent("start")
    result = agent("monitor")
    assert result.code == 0
    assert result.stderr.startswith("masakari-qga: helper 0.0.9 is running, 0.1.0 is installed: restart it")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")])
def test_something_else_where_the_lock_should_be_never_looks_like_a_running_helper(agent, make):
    agent.run.mkdir()
    make(agent.run / "lock")
    assert agent("monitor").code in (1, 7)
    assert agent("stop").code == 0


# Stop


def test_stop_validates_nothing(agent):
    agent("start")
    assert agent("stop", env={"OCF_RESKEY_interval": "nonsense", "OCF_RESKEY_config": "nowhere"}).code == 0
    assert agent.pids == []


def test_stop_works_with_the_configuration_and_the_helper_gone_from_disk(agent):
    agent("start")
    agent.config.unlink()
    shutil.rmtree(agent.root / "heartbeat" / "backends", ignore_errors=True)
    (agent.root / "heartbeat/__main__.py").unlink()
    assert agent("stop").code == 0
    assert agent.pids == []


def test_stop_without_a_run_directory_is_a_success(agent):
    assert not agent.run.exists()
    assert agent("stop") == (0, "", "")


def test_stop_leaves_the_lock_file_but_no_socket_and_no_attribute(agent):
    agent("start")
    agent("stop")
    assert (agent.run / "lock").exists()
    assert not (agent.run / "control.sock").exists()
    said = sorted((agent.root / "attrd").read_text().splitlines())
    assert said == sorted(f"-D -n {name} -N node-1" for name in OURS)


def test_a_helper_that_ignores_term_is_killed_within_the_time_that_stop_has(agent):
    agent.behave(ignore_term=True)
    agent("start")
    assert agent("stop", env={"OCF_RESKEY_CRM_meta_timeout": "3000"}).code == 0
    assert agent.pids == []


@pytest.mark.parametrize("script", ["exit 102", "sleep 600", "kill -SEGV $$"])
def test_attributes_that_cannot_be_cleared_do_not_fail_a_stop(agent, script):
    agent.attrd_updater(f"exec {script}" if script.startswith("sleep") else script)
    result = agent("stop", env={"OCF_RESKEY_CRM_meta_timeout": "2000"})
    assert result.code == 0
    assert f"node attribute {ATTRIBUTES[0]} is not cleared" in result.stderr


def test_stop_does_not_wait_for_ever_for_a_start_that_hangs(agent):
    agent.behave(hang=True)
    environment = {**ENVIRONMENT, "OCF_RESKEY_config": str(agent.config)}
    with subprocess.Popen([agent.script, "start"], env=environment, stderr=subprocess.DEVNULL) as start:
        end = time.monotonic() + 20
        while not agent.pids:
            assert time.monotonic() < end
            time.sleep(0.02)
        result = agent("stop", env={"OCF_RESKEY_CRM_meta_timeout": "3000"})
        assert start.wait(20) == 1
    assert result.code == 0
    assert "stopping nevertheless" in result.stderr
    assert agent.pids == []


# Parameters


@pytest.mark.parametrize("action", ["start", "validate-all", "reload-agent"])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("interval", "0", "parameter interval = '0': out of range; give 2 to 300 s"),
        ("timeout", "five", "parameter timeout = 'five': not a number; give 1 to 20 s"),
        ("backends", "masakari,x", "parameter backends = 'masakari,x': unknown; give a comma separated list of: masak"),
        ("hostname", "a b", "parameter hostname = 'a b': give at most 255 letters, digits"),
        ("hostname", "\x1b[31m" + "x" * 300, "parameter hostname = '\\x1b[31mxxxxx"),
        ("config", "qga.conf", "parameter config = 'qga.conf': give an absolute path"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_the_remedy(agent, action, name, value, reason):
    result = agent(action, env={f"OCF_RESKEY_{name}": value})
    assert result.code == 6
    assert result.reason.startswith(reason)
    assert not agent.run.exists()


def test_validation_of_parameters_alone_opens_nothing_of_the_host(agent, tmp_path):
    """On a controller, where pcs calls it, nothing of ours may be expected to exist. Python itself bears witness."""
    agent("validate-all")  # leaves compiled modules, as the package does
    trace = tmp_path / "trace"
    spy = (
        "import sys, posix; out = posix.open(sys.argv[1], posix.O_WRONLY | posix.O_CREAT);"
        "events = ('open', 'os.listdir', 'os.scandir', 'socket.connect', 'subprocess.Popen', 'os.mkdir', 'os.exec');"
        "sys.addaudithook(lambda e, a: e in events and posix.write(out, ('%s %s\\n' % (e, a[0])).encode()));"
        "sys.argv = sys.argv[2:]; exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))"
    )
    command = ["/usr/bin/python3", "-IS", "-c", spy, str(trace), str(agent.script), "validate-all"]
    run = subprocess.run(command, env={**ENVIRONMENT, "OCF_RESKEY_interval": "5"}, check=False, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
    events = [line.split(" ", 1) for line in trace.read_text().splitlines()]
    assert len(events) > 20
    code = ("/usr/lib/python3", f"{agent.root}/qga", f"{agent.root}/heartbeat")
    others = [(event, path) for event, path in events if not path.startswith(code)]
    assert others in ([], [("os.listdir", str(agent.root))])  # by the import system, looking for our packages


@pytest.mark.parametrize("level", ["", "0", "5", "9", "nonsense"])
def test_below_level_10_the_host_does_not_matter(agent, level):
    agent.behave(finding="libvirt: refused", exit=1)
    assert agent("validate-all", env={"OCF_CHECK_LEVEL": level}) == (0, "", "")


def test_from_level_10_on_the_helpers_findings_are_passed_on(agent):
    assert agent("validate-all", env={"OCF_CHECK_LEVEL": "10"}) == (0, "all is well\n", "")
    agent.behave(finding="config: fine\nlibvirt: refused", exit=5)
    result = agent("validate-all", env={"OCF_CHECK_LEVEL": "20"})
    assert (result.code, result.reason) == (5, "libvirt: refused")
    assert result.stdout == "config: fine\nlibvirt: refused\n"


def test_the_reason_is_the_first_failed_finding_and_not_what_was_said_after_it(agent):
    agent.behave(finding="ok     modules\nFAILED the file: chmod it\nFAILED libvirt\nok     name\nnote: old", exit=4)
    result = agent("validate-all", env={"OCF_CHECK_LEVEL": "10"})
    assert (result.code, result.reason) == (4, "the file: chmod it")


def test_changed_parameters_reach_the_running_helper(agent):
    agent("start")
    assert agent("reload-agent", env={"OCF_RESKEY_interval": "4", "OCF_RESKEY_hostname": "c-1"}) == (0, "", "")
    parameters = {"interval": "4", "hostname": "c-1"}
    assert agent.asked == [{"do": "reload", "parameters": parameters, "node": "node-1"}]


def test_what_the_agent_read_reaches_the_helper_whole_which_may_not_read_it_itself(agent):
    agent("start")
    agent.config.write_text("[masakari]\npassword = 5$x%\n[report]\nhostname = c-2\n[budget]\nrecoveries = 7\n")
    assert agent("reload-agent", env={"OCF_RESKEY_backends": "attributes"}).code == 0
    (request,) = agent.requests
    sent = configuration.unpacked(request["configuration"])
    assert sent == configuration.load(str(agent.config), {"backends": "attributes"})
    assert (sent["masakari.password"], sent["report.backends"]) == ("5$x%", ("attributes",))
    assert request["hostname"] == ["c-2", f"{agent.config} line 4"]


def test_a_reload_of_a_file_that_cannot_be_used_says_why_and_leaves_the_helper_alone(agent):
    agent("start")
    agent.config.write_text("[watch]\ninterval = never\n")
    result = agent("reload-agent")
    assert result.code == 1
    assert result.reason.endswith("'never': not a number; give 2 to 300 s")
    assert agent.requests == []


def test_a_reload_that_the_helper_refuses_fails_with_its_words(agent):
    agent.behave(reply={"ok": False, "error": "report.backends: mistral is not set up; set [mistral] auth_url"})
    agent("start")
    result = agent("reload-agent")
    assert result.code == 1
    assert result.reason.endswith("report.backends: mistral is not set up; set [mistral] auth_url")


def test_a_reload_without_a_helper_is_not_running(agent):
    result = agent("reload-agent")
    assert (result.code, result.reason) == (7, "the helper does not run; start the resource")


# Being called


@pytest.mark.parametrize("arguments", [(), ("",), ("promote",), ("Start",), ("meta_data",), ("monitor ",)])
def test_an_unknown_action_is_3_and_explained(agent, arguments):
    result = agent(*arguments)
    assert (result.code, result.stdout) == (3, "")
    assert "start|stop|monitor" in result.stderr


def test_further_arguments_are_ignored(agent):
    assert agent("monitor", "start").code == 7
    assert agent("meta-data", "x").stdout.startswith("<?xml")


def test_meta_data_needs_no_environment_and_no_rights(agent):
    nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    for directory in (agent.root, *agent.root.parents[:2]):  # pytest keeps its own to the user
        directory.chmod(directory.stat().st_mode | 0o055)
    run = subprocess.run([agent.script, "meta-data"], env={}, capture_output=True, check=False, **nobody)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b'<action name="reload-agent"' in run.stdout


def test_hostile_inheritance_changes_nothing(agent, tmp_path):
    """umask 0777-ish, closed descriptors, ignored and blocked signals, a working directory that is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, signal, sys\n"
        "os.umask(0o026); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
        "for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "os.closerange(0, 3)\n"
        "os.execve(sys.argv[2], sys.argv[2:], dict(os.environ))\n"
    )
    environment = {**ENVIRONMENT, "OCF_RESKEY_config": str(agent.config)}
    del environment["PYTHONHOME"]

    def hostile(action: str) -> int:
        gone.mkdir(exist_ok=True)
        command = ["/usr/bin/python3", "-c", code, str(gone), str(agent.script), action]
        return subprocess.run(command, env=environment, check=False).returncode

    assert [hostile(action) for action in ("monitor", "start", "monitor")] == [7, 0, 0]
    status = Path(f"/proc/{agent.pids[0]}/status").read_text()
    masks = dict(line.split(":\t") for line in status.splitlines() if line[:6] in ("SigBlk", "SigIgn"))
    assert int(masks["SigBlk"], 16) == 0
    ignored = (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)
    assert int(masks["SigIgn"], 16) & sum(1 << number - 1 for number in ignored) == 0
    assert os.stat(agent.run).st_mode & 0o777 == 0o700
    assert [hostile(action) for action in ("validate-all", "stop", "monitor")] == [0, 0, 7]


def test_a_defect_of_ours_is_a_failure_with_a_reason_too(agent):
    (agent.root / "qga_ra/attributes.py").write_text("def clear(*_):\n    return 1 / 0\n")
    result = agent("stop")
    assert result.code == 1
    assert "Traceback" in result.stderr
    assert result.reason == "defect in stop: ZeroDivisionError: division by zero"


def test_pacemakers_own_prefix_of_reasons_is_used(agent):
    result = agent("validate-all", env={"OCF_EXIT_REASON_PREFIX": "why:", "OCF_RESKEY_interval": "0"})
    assert result.stderr.startswith("why:parameter interval")


# Node attributes


def test_each_of_our_attributes_is_deleted_and_nothing_else(fp):
    for name in OURS:
        fp.register(["attrd_updater", "-D", "-n", name, "-N", "node-1"])
    assert attributes.clear("node-1", time.monotonic() + 20) == []
    assert len(fp.calls) == len(OURS)


def test_without_a_node_name_attrd_takes_its_own(fp):
    for name in OURS:
        fp.register(["attrd_updater", "-D", "-n", name])
    assert attributes.clear(None, time.monotonic() + 20) == []


def test_without_pacemaker_there_is_nothing_to_clear(monkeypatch):
    monkeypatch.setattr(attributes, "PATH", "/nonexistent")
    assert attributes.clear("node-1", time.monotonic() + 20) == []


def test_failures_of_attrd_updater_are_named(fp):
    fp.register(["attrd_updater", fp.any()], returncode=102, occurrences=len(OURS))
    troubles = attributes.clear("node-1", time.monotonic() + 20)
    assert troubles == [f"node attribute {name} is not cleared: attrd_updater ends with 102" for name in OURS]


