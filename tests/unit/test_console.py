"""The process that reads guests' consoles: what it hands out, what it does not, and what it may do at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat.evidence import console as module
from heartbeat.evidence import reader
from heartbeat.evidence.console import Console, shown
from tests.harness.observations import OTHER, UUID
from tests.harness.wait import until

ROOT = os.geteuid() == 0
STRANGER = 64123  # a user that nothing belongs to
needs_root = pytest.mark.skipif(not ROOT, reason="only root can give up rights")


@pytest.fixture
def instances(tmp_path):
    """A directory like Nova's, which other users may enter, with one guest's console in it, root's alone."""
    folder = tmp_path / "instances"
    (folder / UUID).mkdir(parents=True)
    (folder / UUID / "console.log").write_text("hello\nworld\n")
    (folder / UUID / "console.log").chmod(0o600)
    for path in (folder, folder / UUID, *tmp_path.parents[:2], tmp_path):
        path.chmod(0o755)
    return folder


@pytest.fixture
def console(instances):
    console = Console(f"{instances}/{{uuid}}/console.log")
    console.become(*(STRANGER, STRANGER) if ROOT else (os.getuid(), os.getgid()))
    yield console
    if console.pid:
        os.kill(console.pid, signal.SIGCONT)
    console.close()


def kernel(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_end_of_a_console_is_handed_out(console):
    assert console.tail(UUID) == ("hello\nworld\n", "")


@needs_root
def test_it_reads_what_is_roots_alone_and_can_do_nothing_else(console, instances):
    assert console.tail(UUID)[0] == "hello\nworld\n"
    said = kernel(console.pid)
    assert set(said["Uid"].split()) == set(said["Gid"].split()) == {str(STRANGER)}
    assert said["Groups"] == ""
    only_to_read = f"{1 << reader.CAP_DAC_READ_SEARCH:016x}"
    assert (said["CapEff"], said["CapPrm"]) == (only_to_read, only_to_read)
    assert {said[name] for name in ("CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert said["NoNewPrivs"] == "1"
    assert Path(f"/proc/{console.pid}/environ").stat().st_uid == 0  # not dumpable: nobody of its user can look into it


@needs_root
def test_it_has_nothing_open_but_its_end_of_the_pair(console):
    links = {os.readlink(f"/proc/{console.pid}/fd/{number}").partition(":")[0]
             for number in os.listdir(f"/proc/{console.pid}/fd")}
    assert links == {"socket", "/dev/null"}


def test_a_long_console_is_cut_at_its_beginning(console, instances):
    (instances / UUID / "console.log").write_text("begin\n" + "x" * 10 * reader.TAIL + "\nend\n")
    text, _ = console.tail(UUID)
    assert len(text) == reader.TAIL
    assert text.endswith("x\nend\n")


def test_after_a_rotation_what_was_there_before_comes_first(console, instances):
    (instances / UUID / "console.log.0").write_text("a" * reader.TAIL + "before\n")
    text, _ = console.tail(UUID)
    assert text.endswith("before\nhello\nworld\n")
    assert len(text) == reader.TAIL


@pytest.mark.parametrize("uuid", ["", "..", "../../etc", UUID.upper(), UUID + "/..", UUID[:-1], UUID + "\n", "{uuid}"])
def test_whatever_is_no_uuid_is_refused(console, uuid):
    assert console.tail(uuid) == ("", "not a uuid")
    assert console.tail(UUID)[0] == "hello\nworld\n"


def test_a_link_in_the_place_of_a_console_is_not_followed(console, instances, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (instances / UUID / "console.log").unlink()
    (instances / UUID / "console.log").symlink_to(secret)
    text, why = console.tail(UUID)
    assert (text, why) == ("", "Too many levels of symbolic links")


def test_a_link_in_the_place_of_a_guests_directory_is_not_followed(console, instances, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/console.log").write_text("secret")
    (instances / OTHER).symlink_to(tmp_path / "elsewhere")
    assert console.tail(OTHER)[0] == ""


def test_a_second_name_of_somebody_elses_file_is_not_read(console, instances, tmp_path):
    (tmp_path / "shadow").write_text("secret")
    (instances / UUID / "console.log").unlink()
    os.link(tmp_path / "shadow", instances / UUID / "console.log")
    assert console.tail(UUID) == ("", "not a regular file of one name")


def test_a_pipe_keeps_nobody_waiting(console, instances):
    (instances / UUID / "console.log").unlink()
    os.mkfifo(instances / UUID / "console.log")
    assert console.tail(UUID) == ("", "not a regular file of one name")


def test_a_guest_without_a_console_says_so(console):
    assert console.tail(OTHER) == ("", "No such file or directory")


def test_no_pattern_is_no_process(tmp_path):
    console = Console("")
    console.become(0, 0)
    assert console.pid is None
    assert console.tail(UUID) == ("", "evidence.console is empty")


def test_a_reader_that_was_killed_costs_the_consoles_only(console):
    os.kill(console.pid, signal.SIGKILL)
    text, why = console.tail(UUID)
    assert (text, why[:28]) == ("", "the console reader has ended")
    assert console.tail(UUID) == (text, why)


def test_a_reader_that_hangs_is_given_up_and_heard_again_when_it_goes_on(console, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 0.05)
    os.kill(console.pid, signal.SIGSTOP)
    assert "did not come within" in console.tail(UUID)[1]
    assert "still waits" in console.tail(OTHER)[1]
    os.kill(console.pid, signal.SIGCONT)
    until(lambda: console.tail(OTHER)[1] == "No such file or directory", "the reader to answer what it is asked now")
    monkeypatch.setattr(module, "LIMIT", 5)
    assert console.tail(UUID)[0] == "hello\nworld\n"


def test_it_ends_with_the_helper_however_that_ends(instances):
    """The parent is killed, and with it goes its end of the pair."""
    line = ("import sys; sys.path.insert(0, sys.argv[1]); from heartbeat.evidence.console import Console;"
            "c = Console(sys.argv[2]); c.become(*map(int, sys.argv[3:])); print(c.pid, flush=True); sys.stdin.read()")
    ids = map(str, (STRANGER, STRANGER) if ROOT else (os.getuid(), os.getgid()))
    pattern = f"{instances}/{{uuid}}/console.log"
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, "-c", line, root, pattern, *ids], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    until(lambda: not Path(f"/proc/{pid}").exists(), "the reader to end")


def test_the_process_knows_nothing_of_our_code():
    script = Path(reader.__file__).read_text()
    assert "heartbeat" not in [line.split()[1].partition(".")[0] for line in script.splitlines()
                               if line.startswith(("import ", "from "))]
    ran = subprocess.run([sys.executable, "-I", "-S", reader.__file__, "/x/{uuid}"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")  # nobody has told it whom to become


@pytest.mark.parametrize(("raw", "text"), [
    (b"a\r\nb\n", "a\nb\n"),
    (b"\x1b[1;31mred\x1b[0m\n", "red\n"),
    (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    (b"\x1b[2\x1b[mJ", "\\x1b[2J"),  # nothing comes together over what was taken out
    (b"\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
    (b"\xff\xfe", "\\xff\\xfe"),
    ("\u00fc \u202e \U0001f600".encode(), "\\xfc \\u202e \\u1f600"),
    (b"back\x08\x08\rover", "back\\x08\\x08\\x0dover"),
])
def test_nothing_in_a_console_is_left_that_a_terminal_obeys(raw, text):
    assert shown(raw) == text


def test_a_console_of_nothing_but_controls_stays_bounded():
    assert len(shown(b"\x00" * reader.TAIL)) == module.TEXT


def test_one_that_has_not_begun_when_the_helper_is_killed_never_does(instances):
    """Before it is told whom to become nothing but the kernel knows of it."""
    line = ("import sys; sys.path.insert(0, sys.argv[1]); from heartbeat.evidence.console import Console;"
            "c = Console(sys.argv[2]); print(c.pid, flush=True); sys.stdin.read()")
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, "-c", line, root, f"{instances}/{{uuid}}"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # so that it cannot see the end of its pair
        parent.kill()
    until(lambda: not Path(f"/proc/{pid}").exists(), "the reader to end")
