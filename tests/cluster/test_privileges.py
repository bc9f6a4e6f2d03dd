"""The helper as a user of its own, with the kernel as witness: what it may still do, and what it does all the same."""
from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.harness.cell import USER
from tests.harness.guests import boot
from tests.harness.node import CONFIG, LOG, RESOURCE, RUN
from tests.harness.wait import until

STATE = Path("/var/lib/masakari-qga")
PASSWORD = "Tr0ub4dor-and-3"
SECTIONS = {"watch": {"interval": 2, "timeout": 1, "silence": 12}, "masakari": {"password": PASSWORD}}
NOVA, MONITORS = Path("/etc/nova"), Path("/etc/masakarimonitors")
# What a process that does nothing but work as another user looks like to the kernel.
NOTHING = "0000000000000000"


def kernel(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def core_limit(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4]


def is_confined(pid: int) -> None:
    """Every thread: the kernel has these rights by thread."""
    user = pwd.getpwnam(USER)
    ours = {str(number) for number in os.getgrouplist(USER, user.pw_gid)}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        said = kernel(int(thread.name))
        assert set(said["Uid"].split()) == {str(user.pw_uid)}
        assert set(said["Gid"].split()) == {str(user.pw_gid)}
        assert set(said["Groups"].split()) == ours
        assert {said[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NOTHING}
        assert said["NoNewPrivs"] == "1"
    assert core_limit(pid) == "0"


def is_root(pid: int) -> None:
    said = kernel(pid)
    assert set(said["Uid"].split()) == {"0"}
    assert said["NoNewPrivs"] == "1"
    assert core_limit(pid) == "0"


def children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def owners(*paths: Path) -> set[tuple[str, str]]:
    return {(path.owner(), stat.filemode(path.stat().st_mode)) for path in paths}


@pytest.fixture
def password(node):
    node.endpoint.password = PASSWORD
    yield PASSWORD
    node.endpoint.password = "secret"


@pytest.fixture
def by_hand(node):
    """Starts the helper by hand with these further sections; everything is as it was afterwards."""
    good = CONFIG.read_bytes()

    def start(**sections) -> int:
        node.configure(**{**SECTIONS, **sections})
        started = node.agent("start")
        assert started.returncode == 0, started.stderr
        assert node.agent("monitor").returncode == 0
        return node.helper()
    yield start
    assert node.agent("stop").returncode == 0
    CONFIG.write_bytes(good)
    for path in (NOVA, MONITORS):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def polkit(node):
    """Has libvirtd ask polkit, from its next start on: there is none here, which lets in nobody but root."""
    file = Path("/etc/libvirt/libvirtd.conf")
    before = file.read_text()
    wanted = before.replace('auth_unix_rw = "none"', 'auth_unix_rw = "polkit"')
    assert wanted != before
    file.write_text(wanted)
    yield
    file.write_text(before)
    node.libvirtd.restart()


def stays_root(node, pid: int, why: str) -> None:
    is_root(pid)
    until(lambda: f"WARNING the helper runs as root: {why}" in node.log(), f"the log to say {why!r}")
    assert owners(RUN) == {("root", "drwx------")}


def test_a_hung_guest_is_found_and_reported_by_a_helper_that_is_not_root(resource, password):
    with boot(90) as guest:
        resource.wait_state(guest.uuid, "healthy")
        pid = resource.helper()
        is_confined(pid)
        guest.halt()
        told = resource.endpoint.wait(1)[0].notification
        assert told["payload"]["instance_uuid"] == guest.uuid
        resource.wait_attribute("qga-failed-vms", guest.uuid)
        sender = until(lambda: [child for child in children(pid) if b"sender.py" in
                                Path(f"/proc/{child}/cmdline").read_bytes()], "the sender")[0]
        is_confined(sender)
        # The kernel's counters of QEMU's threads, which tell a hung guest from a busy one, are open to everybody.
        assert "cpu" in resource.command("why", guest.uuid).stdout.lower()
        resource.discard()
    resource.endpoint.attempts.clear()


def test_the_ledger_is_its_own_and_lock_and_socket_are_roots(by_hand):
    by_hand()
    assert owners(STATE / "ledger.sqlite") == {(USER, "-rw-------")}
    assert STATE.owner() == USER
    assert owners(RUN) == {("root", "drwxr-x---")}
    assert owners(RUN / "lock", RUN / "agent.lock", RUN / "helper.err") == {("root", "-rw-------")}
    assert owners(RUN / "control.sock") == {("root", "srw-------")}
    assert owners(Path(LOG)) == {(USER, "-rw-------")}


def test_a_look_at_the_ledger_by_root_leaves_nothing_of_roots_in_it(node, by_hand):
    os.kill(by_hand(), signal.SIGKILL)
    until(lambda: not node.helpers(), "the helper to be gone")
    looked = node.command("incidents")
    assert (looked.returncode, "read from" in looked.stderr) == (0, True)
    assert {path.owner() for path in STATE.glob("ledger.sqlite*")} == {USER}
    is_confined(by_hand())


def test_nobody_but_root_sees_its_memory_or_talks_to_it(by_hand):
    pid = by_hand()
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    for path in ("mem", "environ", "fd", "maps"):
        ran = subprocess.run([*as_user, "sh", "-c", f"ls /proc/{pid}/{path}/ || cat /proc/{pid}/{path}"],
                             capture_output=True, text=True)
        assert ran.returncode != 0, path
    ran = subprocess.run([*as_user, "masakari-qga", "status"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no permission to ask the helper" in ran.stderr


def test_it_stays_root_where_its_user_is_missing_and_says_so(node, by_hand):
    stays_root(node, by_hand(state={"user": "nobody-here"}), "user nobody-here of state.user does not exist")


def test_it_stays_root_where_that_is_wanted(node, by_hand):
    is_root(by_hand(state={"user": "root"}))
    assert "runs as root, as state.user says" in node.log()


def test_it_stays_root_where_its_user_is_not_in_libvirts_group(node, by_hand):
    stays_root(node, by_hand(state={"user": "nobody"}),
               "user nobody is not in group libvirt; run: usermod -aG libvirt nobody")


def test_it_stays_root_where_its_user_may_not_connect_to_libvirt_and_watches_all_the_same(node, by_hand):
    socket = Path("/run/libvirt/libvirt-sock")
    mode = stat.S_IMODE(socket.stat().st_mode)
    socket.chmod(0o700)
    try:
        stays_root(node, by_hand(), f"user {USER} may not use {socket}, to connect to libvirt")
        until(lambda: node.status()["libvirt"]["connected"], "libvirt to be connected")
    finally:
        socket.chmod(mode)


def test_it_stays_root_where_libvirt_refuses_its_user_and_watches_all_the_same(node, by_hand, polkit):
    node.libvirtd.restart()
    with boot(92) as guest:
        stays_root(node, by_hand(), f"libvirt refuses user {USER}: ")
        node.wait_state(guest.uuid, "healthy")
        why = node.log().partition("libvirt refuses user")[2].partition("\n")[0]
        assert "let group libvirt in by a polkit rule for org.libvirt.unix.manage or auth_unix_rw=none" in why
        looked = node.command("check").stdout
        assert f"WARNING  user      the helper runs as root: libvirt refuses user {USER}" in looked, looked
        assert "ok       libvirt   libvirt answers" in looked


def test_a_libvirt_that_refuses_its_user_only_later_is_had_back_by_a_restart_as_its_reason_says(node, by_hand, polkit):
    node.libvirtd.stop()
    pid = by_hand()
    is_confined(pid)
    node.libvirtd.start()
    until(lambda: "restart the resource: its helper then stays root" in str(node.status()["libvirt"]), "the remedy")
    assert node.agent("stop").returncode == 0
    stays_root(node, by_hand(), f"libvirt refuses user {USER}: ")
    until(lambda: node.status()["libvirt"]["connected"], "libvirt to be connected")


def test_a_libvirt_that_hangs_keeps_nobody_root_and_no_start_from_its_end(node, by_hand):
    node.libvirtd.freeze()
    try:
        is_confined(by_hand())
    finally:
        node.libvirtd.thaw()
    until(lambda: node.status()["libvirt"]["connected"], "libvirt to be connected")


def test_it_stays_root_where_only_root_can_prove_to_libvirt_who_asks(node, by_hand):
    secret = Path("/etc/libvirt/auth.conf")
    secret.touch(0o600)
    try:
        stays_root(node, by_hand(libvirt={"connection_uri": "qemu+tcp://127.0.0.1/system"}),
                   f"user {USER} may not use {secret}, to prove to libvirt who asks")
        assert node.agent("stop").returncode == 0
        stays_root(node, by_hand(libvirt={"connection_uri": "qemu+ssh://127.0.0.1/system"}),
                   "what lets root connect to libvirt by ssh is not")
        assert node.agent("stop").returncode == 0
        is_confined(by_hand())      # by its socket it needs none
    finally:
        secret.unlink()


def test_it_stays_root_where_it_could_not_get_to_its_ledger_or_log_or_certificates(node, by_hand):
    private = Path("/run/private")
    private.mkdir(mode=0o700)
    stays_root(node, by_hand(state={"directory": private / "state"}), f"user {USER} may not use {private}, to lead to")
    assert node.agent("stop").returncode == 0
    log = Path("/var/log/roots.log")
    log.touch(0o640)        # others read it: it is not of an earlier helper
    is_root(by_hand(log={"to": log}))
    until(lambda: f"may not use {log}, to write the log" in log.read_text(), "the log to say so")
    assert node.agent("stop").returncode == 0
    authority = private / "authority.pem"
    authority.touch()
    stays_root(node, by_hand(masakari={**SECTIONS["masakari"], "cafile": authority}),
               f"user {USER} may not use {authority}, to read what proves")
    shutil.rmtree(private)


def test_it_stays_root_where_the_processes_of_others_are_hidden(node, by_hand):
    """Without QEMU's processes no guest could be told to be hung."""
    subprocess.run(["mount", "-o", "remount,hidepid=2", "/proc"], check=True)
    try:
        stays_root(node, by_hand(), f"user {USER} may not use /proc/1/stat, to see QEMU's processes")
    finally:
        subprocess.run(["mount", "-o", "remount,hidepid=0", "/proc"], check=True)


def test_a_reload_finds_what_only_root_can_read(node, by_hand):
    """nova.conf names the host for Masakari: to lose it in a reload would make every report go astray."""
    NOVA.mkdir(mode=0o700)
    MONITORS.mkdir(mode=0o700)
    (NOVA / "nova.conf").write_text("[DEFAULT]\nhost = from-nova\n")
    (MONITORS / "masakarimonitors.conf").write_text("[introspectiveinstancemonitor]\nguest_monitoring_interval = 7\n")
    for path in (NOVA / "nova.conf", MONITORS / "masakarimonitors.conf", CONFIG):
        path.chmod(0o600)
    pid = by_hand(watch={"silence": 12})
    CONFIG.chmod(0o600)
    is_confined(pid)
    assert node.status()["hostname"] == "from-nova"
    reloaded = node.agent("reload-agent", OCF_RESKEY_timeout="3")
    assert reloaded.returncode == 0, reloaded.stderr
    assert node.status()["hostname"] == "from-nova"
    assert "reloaded; changed: watch.timeout\n" in node.log()[-500:]
    (NOVA / "nova.conf").write_text("[DEFAULT]\nhost = renamed\n")
    assert node.agent("reload-agent", OCF_RESKEY_timeout="3").returncode == 0
    assert node.status()["hostname"] == "renamed"
    assert node.helper() == pid


def test_ledger_and_log_of_roots_are_taken_over_and_nothing_that_was_slipped_in(node, by_hand):
    Path(LOG).unlink()
    is_root(by_hand(state={"user": "root"}))
    assert (STATE.owner(), Path(LOG).owner()) == ("root", "root")
    assert node.agent("stop").returncode == 0
    is_confined(by_hand())
    assert owners(STATE / "ledger.sqlite", Path(LOG)) == {(USER, "-rw-------")}
    assert node.agent("stop").returncode == 0
    precious = STATE / "precious"
    precious.write_text("root's")
    os.link(precious, STATE / "ledger.sqlite.hard")
    (STATE / "ledger.sqlite.soft").symlink_to(precious)
    os.chown(precious, pwd.getpwnam(USER).pw_uid, -1)      # even if the link were the user's
    try:
        is_root(by_hand(state={"user": "root"}))
        assert (STATE.owner(), (STATE / "ledger.sqlite").owner(), precious.owner()) == ("root", "root", USER)
    finally:
        for path in (STATE / "ledger.sqlite.hard", STATE / "ledger.sqlite.soft", precious):
            path.unlink()


def test_a_directory_that_is_not_the_ledgers_alone_is_not_given_away(node, by_hand):
    shared = Path("/run/shared")
    (shared / "of-somebody-else").mkdir(parents=True)
    stays_root(node, by_hand(state={"directory": shared}), f"{shared} holds other things than the ledger")
    assert shared.owner() == "root"
    assert node.agent("stop").returncode == 0
    shutil.rmtree(shared)


def test_a_ledger_that_was_put_back_by_root_is_used_by_root_until_it_is_given_to_the_user(node, by_hand):
    is_confined(by_hand())
    assert node.agent("stop").returncode == 0
    ledger = STATE / "ledger.sqlite"
    shutil.chown(ledger, "root", "root")
    is_root(by_hand())
    why = f"the helper runs as root: user {USER} may not write {ledger}; run: chown {USER}: {ledger}"
    until(lambda: why in node.log(), "the log to say so")
    assert node.agent("stop").returncode == 0
    is_confined(by_hand())      # root had the directory, and gave all of its own in it


def test_a_console_that_is_roots_alone_comes_from_a_process_that_may_read_and_nothing_else(node, by_hand, password):
    user, pattern = pwd.getpwnam(USER), "/var/lib/libvirt/instances/{uuid}/console.log"
    pid = by_hand(evidence={"console": pattern})
    is_confined(pid)
    (reader,) = [child for child in children(pid) if b"reader.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
    said = kernel(reader)
    assert (set(said["Uid"].split()), set(said["Gid"].split())) == ({str(user.pw_uid)}, {str(user.pw_gid)})
    assert {said[name] for name in ("CapEff", "CapPrm")} == {"0000000000000004"}       # CAP_DAC_READ_SEARCH
    assert {said[name] for name in ("CapInh", "CapBnd", "CapAmb")} == {NOTHING}
    assert (said["Groups"], said["NoNewPrivs"], core_limit(reader)) == ("", "1", "0")
    print(f"the reader's resident set: {said['VmRSS']}, of which its own: {said['RssAnon']}")
    for number, kept_to in ((93, "alive\n"), (94, "")):
        with boot(number, console=pattern) as guest:
            node.wait_state(guest.uuid, "healthy")
            guest.run("echo alive >/dev/ttyS0")
            assert owners(Path(pattern.format(uuid=guest.uuid))) == {("root", "-rw-------")}
            guest.kill_qemu()
            node.wait_state(guest.uuid, "qemu-died")
            bundle = STATE / "evidence" / str(node.guest(guest.uuid)["incident"]["id"])
            until(bundle.exists, "its evidence")
            shown = node.command("incidents", "show", bundle.name).stdout
            if kept_to:
                assert (bundle / "console.log").read_text().endswith(kept_to)
                assert "\n  alive\n" in shown
            else:
                assert "console.log: not there: the console reader has ended" in shown, shown
            assert owners(bundle.parent, bundle) == {(USER, "drwx------")}
            assert owners(*bundle.iterdir()) == {(USER, "-rw-------")}
            until(lambda guest=guest: guest.uuid in str(node.endpoint.attempts), "its report")
        if kept_to:
            os.kill(reader, signal.SIGKILL)
    node.endpoint.attempts.clear()


def test_a_stopped_helper_leaves_no_socket_though_it_could_not_remove_it(node, by_hand):
    by_hand()
    assert node.agent("stop").returncode == 0
    assert not (RUN / "control.sock").exists()
    assert node.helpers() == []


def test_a_check_looks_as_the_user_and_says_as_whom(node):
    shutil.rmtree(RUN, ignore_errors=True)
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.chown(STATE, 0, 0)       # as the package leaves it, and a log of an earlier version
    Path(LOG).unlink(missing_ok=True)
    Path(LOG).touch(0o600)
    STATE.chmod(0o700)
    looked = node.command("check").stdout
    assert f"ok       user      the helper runs as user {USER}" in looked, looked
    assert owners(STATE) == {("root", "drwx------")}
    assert not RUN.exists()


def test_the_password_is_nowhere_but_in_its_file(resource, password):
    """Not in a log, a command line, an environment, what the command shows, the CIB, or the ledger."""
    with boot(91) as guest:
        resource.wait_state(guest.uuid, "healthy")
        guest.kill_qemu()
        resource.endpoint.wait(1)       # the sender has it now
        pid = resource.helper()
        shown = [resource.command(*words).stdout for words in
                 (("status", "--json"), ("show-config",), ("incidents", "--json"), ("check",))]
        for process in (pid, *children(pid)):
            for part in ("cmdline", "environ"):
                shown.append(Path(f"/proc/{process}/{part}").read_text(errors="replace"))
        shown += [resource.run("cibadmin", "-Q").stdout, resource.log(), (RUN / "helper.err").read_text()]
        shown += [path.read_text(errors="replace") for folder in ("/var/log", "/var/lib/pacemaker", STATE)
                  for path in Path(folder).rglob("*") if path.is_file()]
        assert password in CONFIG.read_text()
        assert [text for text in shown if password in text] == []
        assert any(guest.uuid in text for text in shown)
        # A crash: with neither core nor memory to be had, all there is are the frames.
        os.kill(pid, signal.SIGSEGV)
        resource.wait_helper(other_than=pid)
        assert password not in (RUN / "helper.err").read_text()
        assert [path for path in Path("/").glob("core*") if path.is_file()] == []
        resource.discard()
    resource.endpoint.attempts.clear()
    assert RESOURCE not in [it.id for it in resource.cluster.resources()]
