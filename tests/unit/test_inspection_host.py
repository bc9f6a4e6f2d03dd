"""What a check says of this host's files, of libvirt's guests and of the cluster; and what a step that hangs costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartbeat import configuration, eventlog, inspection, privileges
from heartbeat.examination import examine
from heartbeat.inspection import Helper, cluster, guests, host
from heartbeat.inspection.finding import FAILED, NOTE, OK, Finding
from heartbeat.inspection.steps import Step, follow, within
from heartbeat.privileges import Standing

ONE, TWO = "6f5e0a2c-0000-4000-8000-000000000001", "6f5e0a2c-0000-4000-8000-000000000002"


def only(findings) -> Finding:
    (finding,) = findings
    return finding


def levels(findings) -> list[str]:
    return [it.level for it in findings]


# Files


@pytest.mark.parametrize(("mode", "level", "code"), [
    (0o640, "ok", 0), (0o600, "ok", 0), (0o660, "warning", 0), (0o644, "failed", 4), (0o641, "failed", 4),
])  # fmt: skip
def test_a_configuration_file_that_others_can_read_is_a_failure(tmp_path, mode, level, code):
    path = tmp_path / "conf"
    path.touch()
    path.chmod(mode)
    finding = only(host.file(str(path)))
    assert (finding.level, finding.code) == (level, code)
    assert finding.remedy == ("" if level == "ok" else f"chmod 0640 {path}")


def test_a_configuration_file_of_another_users_is_a_warning(tmp_path):
    path = tmp_path / "conf"
    path.touch(0o600)
    os.chown(path, 65534, -1)
    assert only(host.file(str(path))).remedy == f"chown root {path}"


def test_missing_modules_are_all_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(host, "MODULES", ("json", "nowhere_to_be_found", "neither_this"))
    finding = only(host.modules())
    assert finding.text == "python modules missing: nowhere_to_be_found, neither_this"
    assert (finding.code, finding.remedy) == (5, "reinstall masakari-qga with its dependencies")


def test_credentials_of_another_programs_file_are_a_warning_if_all_can_read_them(tmp_path):
    ours, other = tmp_path / "ours.conf", tmp_path / "masakarimonitors.conf"
    other.write_text("[api]\nauth_url = http://keystone\npassword = secret\n")
    ours.write_text(f"[masakari]\ncredentials = {other}\n")
    config = configuration.load(str(ours))
    other.chmod(0o644)
    assert only(host.credentials(config)).remedy.startswith(f"chmod o= {other}")
    other.chmod(0o640)
    assert only(host.credentials(config)).level == "ok"


@pytest.mark.parametrize(("mode", "level"), [(0o700, "ok"), (0o750, "warning"), (0o777, "failed"), (0o720, "failed")])
def test_a_state_directory_that_others_can_change_is_a_failure(tmp_path, monkeypatch, mode, level):
    monkeypatch.setattr(host, "IN_MEMORY", ())
    tmp_path.chmod(mode)
    assert only(host.state_directory(str(tmp_path))).level == level


def test_where_consoles_are_looked_for_is_told_and_a_wrong_place_is_no_failure(tmp_path):
    assert only(host.consoles(f"{tmp_path}/{{uuid}}/console.log")) == Finding(
        OK, "evidence", f"consoles of guests that fail are looked for in {tmp_path}")
    assert only(host.consoles(f"{tmp_path}/guest-{{uuid}}.log")).level == OK
    wrong = only(host.consoles(f"{tmp_path}/instances/{{uuid}}/console.log"))
    assert (wrong.level, wrong.text[:12]) == (NOTE, "there is no ")
    assert only(host.consoles("")).level == NOTE


def test_a_state_directory_in_memory_loses_incidents(monkeypatch):
    place = Path("/dev/shm/masakari-qga-check")
    place.mkdir(0o700, exist_ok=True)
    try:
        finding = only(host.state_directory(str(place)))
    finally:
        place.rmdir()
    assert (finding.level, finding.remedy) == ("warning", "set state.directory to a place on a disk")


def test_a_state_directory_without_room_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "ROOM", 1 << 62)
    tmp_path.chmod(0o700)
    assert "make room on it" in [it.remedy for it in host.state_directory(str(tmp_path))]


def test_a_state_directory_that_is_a_file_or_not_there(tmp_path):
    (tmp_path / "file").touch()
    assert only(host.state_directory(str(tmp_path / "file"))).level == "failed"
    assert only(host.state_directory(str(tmp_path / "file" / "x"))).level == "failed"
    assert only(host.state_directory(str(tmp_path / "none"))).level == "note"


def test_a_run_directory_that_others_can_change_or_is_a_link_is_a_failure(tmp_path):
    run = tmp_path / "run"
    assert only(host.run_directory(str(run))).level == "ok"
    run.mkdir(0o700)
    assert only(host.run_directory(str(run))).level == "ok"
    run.chmod(0o777)
    assert only(host.run_directory(str(run))).remedy == f"chown root {run}; chmod 0700 {run}"
    (tmp_path / "link").symlink_to(run)
    assert only(host.run_directory(str(tmp_path / "link"))).remedy == f"rm {tmp_path / 'link'}"


def test_a_syslog_that_nobody_reads_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(eventlog, "SYSLOG", str(tmp_path / "log"))
    finding = only(host.log("syslog"))
    assert (finding.level, finding.text) == (
        "warning", f"lines for syslog are lost: {tmp_path}/log: No such file or directory",
    )  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        assert only(host.log("syslog")).level == "ok"


def test_a_log_file_without_its_directory_or_open_to_all_is_a_warning(tmp_path):
    assert "none is missing" in only(host.log(f"{tmp_path}/none/log")).text
    assert "it is a directory" in only(host.log(str(tmp_path))).text
    (tmp_path / "log").touch()
    (tmp_path / "log").chmod(0o644)
    assert only(host.log(f"{tmp_path}/log")).remedy == f"chmod 0640 {tmp_path}/log"
    (tmp_path / "log").chmod(0o640)
    assert only(host.log(f"{tmp_path}/log")).level == "ok"


def test_the_monitor_that_we_replace_is_named_if_it_runs(tmp_path):
    script = tmp_path / f"{host.RIVAL}-of-{os.getpid()}"  # somebody may run the real one on this machine
    assert list(host.rival(script.name)) == []
    script.write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    with subprocess.Popen([sys.executable, "-B", script, "--config-file", "/etc/x"], stdout=subprocess.PIPE) as rival:
        rival.stdout.readline()
        finding = only(host.rival(script.name))
        rival.kill()
    assert f"(process {rival.pid})" in finding.text
    assert finding.remedy == f"systemctl disable --now {script.name}"


# Guests


def test_guests_are_counted_and_those_that_do_not_answer_named_by_kind():
    found = list(guests.summary({ONE: "answers", TWO: "silent", "z": "not running", "y": "no channel"}, "asked"))
    assert found[0].text == "4 guests, asked: 1 answers, 1 no channel, 1 not running, 1 silent"
    assert [(it.level, it.text) for it in found[1:]] == [("note", "no channel: y"), ("warning", f"silent: {TWO}")]
    assert "hw_qemu_guest_agent=yes" in found[1].remedy
    assert "virsh qemu-agent-command UUID" in found[2].remedy


def test_of_many_silent_guests_a_few_are_named_and_the_rest_counted():
    found = list(guests.summary({f"{number:02}": "silent" for number in range(40)}, "asked"))
    assert found[1].text == "silent: 00, 01, 02, 03, 04 and 35 more"


@pytest.mark.parametrize("known", [{}, {ONE: "answers", TWO: "not running"}])
def test_where_all_guests_answer_there_is_one_line(known):
    assert levels(guests.summary(known, "asked")) == ["ok"]


def test_the_helpers_states_are_told_in_words_of_what_is_to_be_done():
    view = [{"uuid": ONE, "state": "healthy"}, {"uuid": TWO, "state": "agent-down"},
            {"uuid": "\x1b[2J", "state": "hung"}, None]  # fmt: skip
    assert guests.from_helper(view) == {ONE: "answers", TWO: "channel closed", "unknown": "hung"}
    assert guests.from_helper("nonsense") == {}


def test_while_a_helper_lives_no_guest_is_asked(monkeypatch):
    monkeypatch.setattr(guests, "_reach", lambda uri: "")
    monkeypatch.setattr(guests, "_asked", lambda *_: pytest.fail("a guest is asked"))
    view = {"guests": [{"uuid": ONE, "state": "healthy"}], "libvirt": {"connected": False, "error": "closed"}}
    found = list(guests.look("test:///default", "running", view))
    assert levels(found) == ["ok", "warning", "ok"]
    assert found[2].text == "1 guests, as the helper sees them: 1 answers"
    assert levels(guests.look("test:///default", "stuck", {})) == ["ok", "note"]


def test_without_libvirt_no_guest_is_asked(monkeypatch):
    monkeypatch.setattr(guests, "_reach", lambda uri: "Failed to connect socket")
    finding = only(guests.look("qemu:///system", "absent", {}))
    assert finding.text == "libvirt at qemu:///system: Failed to connect socket"
    assert finding.remedy == "start libvirtd or virtqemud, or correct libvirt.connection_uri"


def test_a_libvirt_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(guests, "LIBVIRT_LIMIT", 0.01)
    monkeypatch.setattr(guests, "_reach", lambda uri: time.sleep(600))
    assert "no answer within 0.01 s" in guests.reachable("qemu:///system").text


# The cluster


class Commands:
    """Stands in for Pacemaker's tools: attrd as it keeps one value. fail: status by command, and what it says."""

    def __init__(self, **fail: tuple[int, bytes]) -> None:
        self.ran: list[list[str]] = []
        self.value, self.fail = "", fail

    def __call__(self, command, **more):
        assert more["timeout"]
        self.ran.append(command)
        if command[0] in self.fail:
            return SimpleNamespace(returncode=self.fail[command[0]][0], stdout=b"", stderr=self.fail[command[0]][1])
        said = b"node-1\n"
        if command[0] == "attrd_updater":
            self.value = "" if "-D" in command else command[command.index("-U") + 1] if "-U" in command else self.value
            said = f'name="qga-check" host="node-1" value="{self.value}"\n'.encode()
        return SimpleNamespace(returncode=0, stdout=said, stderr=b"")


@pytest.fixture
def look(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_held", lambda node: iter(()))
    monkeypatch.setattr(cluster, "SETTLING", 0.0)

    def with_commands(run, known: str = "", backends: str = "attributes") -> list[Finding]:
        path = tmp_path / "conf"
        path.write_text(f"[report]\nbackends = {backends}\n")
        return list(cluster.look(known, configuration.load(str(path)), run))

    return with_commands


def test_an_attribute_of_our_own_is_written_privately_read_back_and_removed(look):
    run = Commands()
    assert levels(look(run, known="node-1")) == ["ok"]
    assert [command[0] for command in run.ran] == ["crm_node", *["attrd_updater"] * 3]
    assert [command[-4:] for command in run.ran[1:]] == [["-n", "qga-check", "-N", "node-1"]] * 3
    assert run.ran[1][1:3] == ["-p", "-U"]
    assert run.value == ""


def test_without_a_cluster_or_pacemaker_that_is_said_and_is_no_failure(look):
    finding = only(look(Commands(crm_node=(102, b"crm_node: Could not connect: Connection refused\n"))))
    assert (finding.level, finding.remedy) == ("note", "pcs cluster start")

    def missing(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    assert only(look(missing)).text.startswith("Pacemaker is not installed here")


def test_an_attribute_that_cannot_be_written_or_is_read_otherwise_is_a_failure(look):
    finding = only(look(Commands(attrd_updater=(102, b"Could not connect\n"))))
    assert finding.level == "failed"
    assert finding.text == "node attribute qga-check of node-1: attrd_updater ends with status 102: Could not connect"
    assert "pacemaker-attrd" in finding.remedy
    run = Commands()
    plain = run.__call__
    found = look(lambda command, **more: plain(command, **more) if "-U" not in command else plain(command[:1], **more))
    assert only(found).text == "node attribute qga-check of node-1 was written, and is read back as ''"


def test_a_tool_that_hangs_is_given_up(look):
    def hang(command, **more):
        raise subprocess.TimeoutExpired(command, more["timeout"])

    assert "crm_node did not end within 5 s" in only(look(hang)).text


def test_a_helper_that_writes_another_nodes_attributes_is_told(look):
    assert levels(look(Commands(), known="node-2")) == ["warning", "ok"]


def test_where_attributes_are_not_wanted_none_is_written(look):
    run = Commands()
    assert levels(look(run, backends="masakari")) == ["note"]
    assert len(run.ran) == 1


# All of it


def test_steps_run_side_by_side_and_are_told_in_order():
    told: list[str] = []
    all_of_them = threading.Barrier(20)

    def together(name: str):
        all_of_them.wait(60)
        yield Finding(OK, name, "")

    follow([Step(str(number), 60, lambda number=number: together(str(number))) for number in range(20)],
           lambda it: told.append(it.step))  # fmt: skip
    assert told == [str(number) for number in range(20)]


def test_a_step_that_hangs_or_breaks_costs_only_itself():
    found: list[Finding] = []

    def some():
        yield Finding(OK, "partly", "first")
        time.sleep(600)

    hung, partly = Step("hung", 0.05, lambda: time.sleep(600)), Step("partly", 0.05, some)
    broken, well = Step("broken", 60, lambda: 1 // 0), Step("well", 60, lambda: [Finding(OK, "well", "")])
    follow([hung, partly, broken, well], found.append)
    assert [(it.level, it.step) for it in found] == [
        (FAILED, "hung"), (OK, "partly"), (FAILED, "partly"), (FAILED, "broken"), (OK, "well"),
    ]  # fmt: skip
    assert "not over after 0.05 s" in found[0].text
    assert "ZeroDivisionError" in found[3].text


def test_what_does_not_return_is_a_word_about_the_time():
    assert within(5, lambda: "found") == "found"
    assert within(0.01, lambda: time.sleep(600)) == "no answer within 0.01 s"


def test_a_configuration_that_cannot_be_read_is_a_failure_and_the_rest_is_looked_at(tmp_path):
    (tmp_path / "conf").write_text("[watch]\nintervall = 5\n")
    chosen = inspection.steps(str(tmp_path / "conf"), {}, str(tmp_path), Helper("absent", {}), False)
    assert [step.name for step in chosen] == ["modules", "config", "run"]
    finding = only(chosen[1].look())
    assert finding.text.endswith("line 2: watch.intervall: unknown option; did you mean interval?")
    assert finding.code == 2


def test_the_host_name_that_is_looked_up_is_the_one_that_the_helper_uses(tmp_path):
    (tmp_path / "conf").write_text("[report]\nhostname = other\n")
    helper = Helper("running", {"hostname": "compute1"})
    chosen = inspection.steps(str(tmp_path / "conf"), {}, str(tmp_path), helper, False)
    finding = only(next(step for step in chosen if step.name == "name").look())
    assert finding.text == "reports name this host compute1, from the helper"


def test_parameters_of_the_resource_are_told_to_be_in_force(tmp_path):
    (tmp_path / "conf").touch(0o640)
    chosen = inspection.steps(str(tmp_path / "conf"), {"interval": "5"}, str(tmp_path), Helper("absent", {}), False)
    texts = [it.text for it in next(step for step in chosen if step.name == "config").look()]
    assert "as the resource sets them: interval" in texts


def test_a_quick_check_is_five_lines_and_the_code_of_the_first_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(guests, "_reach", lambda uri: "refused")
    monkeypatch.setattr(privileges, "drop", lambda config: Standing("the helper runs as root: no user", unwanted=True))
    path = tmp_path / "conf"
    path.write_text(f"[masakari]\ncredentials = {tmp_path}/none\n")
    path.chmod(0o644)
    assert examine(configuration.load(str(path))) == 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["ok", "FAILED", "ok", "warn", "FAILED"]
    assert lines[1] == f"FAILED {path} has mode 0644 and may hold a password; chmod 0640 {path}"


def test_a_look_at_everything_loads_neither_libvirt_nor_http():
    ours = ", ".join(f"heartbeat.inspection.{name}" for name in ("cloud", "guests", "cluster", "host"))
    code = f"import sys, {ours}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=os.getcwd(), stdout=subprocess.PIPE, check=True)
    assert not {"libvirt", "requests", "keystoneauth1", "lxml"} & set(ran.stdout.decode().split())


def test_as_whom_the_helper_will_run_is_told_and_nobody_else_becomes_that(tmp_path):
    (tmp_path / "conf").write_text("[state]\nuser = nobody\n")
    uid, (finding,) = host.user(configuration.load(str(tmp_path / "conf")))
    assert (finding.step, finding.level) == ("user", "warning"), "nobody is in no group of libvirt's"
    assert finding.text == "the helper runs as root: user nobody is not in group libvirt"
    assert finding.remedy == (f"run: usermod -aG libvirt nobody; or set user = root in [state] of {tmp_path}/conf; then"
                              " run: pcs resource restart qga-monitor")
    assert (uid, os.geteuid()) == (0, 0)


def test_a_state_directory_may_be_the_helpers_user_s(tmp_path):
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 65534, 65534)
    assert only(host.state_directory(str(tmp_path))).level == "failed"
    assert "failed" not in [it.level for it in host.state_directory(str(tmp_path), 65534)]
