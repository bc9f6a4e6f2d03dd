"""Where evidence lies: whole or not at all, private, bounded; and read without trust in what is found there."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heartbeat.evidence import archive as module
from heartbeat.evidence.archive import CONSOLE, MANIFEST, MIB, WHY, Archive, Full, Limits, Missing

NOW = 1_800_000_000.0
FILES = {WHY: b"because\n", CONSOLE: b"panic\n"}


@pytest.fixture
def archive(tmp_path):
    return Archive(str(tmp_path))


def aged(archive: Archive, number: int, seconds: float) -> None:
    """A bundle that was made so long before NOW."""
    archive.put(number, {}, FILES)
    os.utime(Path(archive.path, str(number)), (NOW - seconds, NOW - seconds))


def names(archive: Archive) -> list[str]:
    return sorted(os.listdir(archive.path))


def test_what_was_put_in_comes_out_and_says_what_it_is_of(archive):
    archive.put(7, {"incident": {"uuid": "u"}}, FILES)
    bundle = archive.read(7)
    assert (bundle.files, bundle.troubles) == (FILES, {})
    assert bundle.manifest == {"incident": {"uuid": "u"}, "version": 1, "files": {WHY: 8, CONSOLE: 6}}


def test_nobody_else_may_see_any_of_it_whatever_the_umask(archive):
    before = os.umask(0)
    try:
        archive.put(7, {}, FILES)
    finally:
        os.umask(before)
    for path in (Path(archive.path), Path(archive.path, "7")):
        assert stat.filemode(path.stat().st_mode) == "drwx------"
    for path in Path(archive.path, "7").iterdir():
        assert stat.filemode(path.stat().st_mode) == "-rw-------"


def test_a_helper_that_is_killed_in_the_middle_leaves_nothing_that_looks_whole(tmp_path, archive):
    """At each of the files in turn, as it is written."""
    line = ("import os, signal, sys; sys.path.insert(0, sys.argv[1]); from heartbeat.evidence import archive as m\n"
            "real, left = m._create, [int(sys.argv[3])]\n"
            "def create(folder, name, content):\n"
            "    if not left[0]:\n"
            "        real(folder, name, content[:3]); os.kill(os.getpid(), signal.SIGKILL)\n"
            "    left[0] -= 1; real(folder, name, content)\n"
            "m._create = create\n"
            "m.Archive(sys.argv[2]).put(7, {}, {'why.txt': b'because', 'console.log': b'panic'})\n")
    root = str(Path(__file__).resolve().parents[2])
    for files in range(3):
        ran = subprocess.run([sys.executable, "-c", line, root, str(tmp_path), str(files)], timeout=60)
        assert ran.returncode == -signal.SIGKILL
        with pytest.raises(Missing, match="no evidence is kept"):
            archive.read(7)
        assert names(archive) == [".7.new"]
    assert archive.tidy(Limits(), NOW) == 0
    assert names(archive) == [".7.new"]  # it may be one that is being written
    archive.tidy(Limits(), NOW, unfinished=True)
    assert names(archive) == []


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_in_the_middle_leaves_nothing(archive, monkeypatch, failure):
    real, calls = module._create, []

    def create(folder, name, content):
        calls.append(name)
        if len(calls) == 2:
            raise OSError(failure, os.strerror(failure))
        real(folder, name, content)

    monkeypatch.setattr(module, "_create", create)
    with pytest.raises(OSError, match=os.strerror(failure)):
        archive.put(7, {}, FILES)
    assert names(archive) == []


def test_the_ledgers_room_on_the_disk_is_not_touched(archive, monkeypatch):
    monkeypatch.setattr(module, "RESERVE", 1 << 62)
    with pytest.raises(Full, match="are the ledger's"):
        archive.put(7, {}, FILES)
    assert names(archive) == []


def test_what_an_earlier_capture_of_the_same_incident_left_is_replaced(archive):
    archive.put(1, {}, FILES)
    Path(archive.path, ".7.new/deep").mkdir(parents=True)
    Path(archive.path, ".7.new/deep/file").write_text("x")
    archive.put(7, {}, FILES)
    assert names(archive) == ["1", "7"]


def test_a_bundle_of_that_number_from_a_ledger_that_is_gone_makes_room(archive):
    archive.put(7, {"incident": "old"}, FILES)
    os.utime(Path(archive.path, "7"), (NOW, NOW))
    archive.put(7, {"incident": "new"}, FILES)
    assert archive.read(7).manifest["incident"] == "new"
    assert names(archive) == ["7", "7-20270115T080000"]
    os.utime(Path(archive.path, "7"), (NOW + 1, NOW + 1))
    archive.tidy(Limits(number=1), NOW)
    assert names(archive) == ["7"]


def test_the_oldest_goes_when_there_are_too_many(archive):
    for number, age in ((3, 10), (1, 20), (2, 30)):
        aged(archive, number, age)
    assert archive.tidy(Limits(number=2), NOW) == 1
    assert names(archive) == ["1", "3"]


def test_the_oldest_goes_when_all_take_too_much(archive):
    for number in range(1, 5):
        aged(archive, number, 100 - number)
    each = sum(path.stat().st_blocks * 512 for path in Path(archive.path, "1").iterdir())
    assert archive.tidy(Limits(size=each * 2), NOW) == 2
    assert names(archive) == ["3", "4"]


def test_what_is_too_old_goes_whether_or_not_anything_knows_its_incident(archive):
    aged(archive, 1, 31 * 86400)
    aged(archive, 2, 29 * 86400)
    archive.tidy(Limits(), NOW)
    assert names(archive) == ["2"]


def test_a_bundle_that_cannot_be_removed_is_told_and_keeps_no_other_from_going(archive):
    for number in range(1, 5):
        aged(archive, number, 100 - number)
    for stuck in ("1", ".9.new"):
        Path(archive.path, stuck, *"abcde").mkdir(parents=True)  # deeper than anything of ours
    os.utime(Path(archive.path, "1"), (NOW - 99, NOW - 99))
    with pytest.raises(OSError, match="directories within directories"):
        archive.tidy(Limits(number=2), NOW, unfinished=True)
    assert names(archive) == [".9.new", "1", "4"]
    assert archive.volume[0] == 2


def test_a_clock_that_was_set_back_costs_nothing(archive):
    aged(archive, 1, -90 * 86400)
    archive.tidy(Limits(), NOW)
    assert names(archive) == ["1"]


def test_what_is_not_ours_in_there_stays(archive, tmp_path):
    archive.put(1, {}, FILES)
    for name in ("notes", "7.bak", "-1"):
        Path(archive.path, name).mkdir()
    archive.tidy(Limits(number=0), NOW, unfinished=True)
    assert names(archive) == ["-1", "7.bak", "notes"]


def test_a_link_among_the_bundles_goes_and_what_it_leads_to_stays(archive, tmp_path):
    archive.put(1, {}, FILES)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    Path(archive.path, "2").symlink_to(tmp_path / "precious")
    Path(archive.path, "1/inner").symlink_to(tmp_path / "precious")
    archive.tidy(Limits(number=0), NOW)
    assert names(archive) == []
    assert (tmp_path / "precious/file").read_text() == "x"


def test_an_archive_that_is_a_link_is_neither_written_nor_read_nor_tidied(archive, tmp_path):
    (tmp_path / "elsewhere/7").mkdir(parents=True)
    Path(archive.path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        archive.put(7, {}, FILES)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        archive.tidy(Limits(number=0), NOW)
    with pytest.raises(Missing):
        archive.read(7)
    assert os.listdir(tmp_path / "elsewhere") == ["7"]


@pytest.mark.parametrize("made", ["link", "pipe", "second name", "folder"])
def test_what_somebody_put_in_the_place_of_a_file_is_not_read(archive, tmp_path, made):
    archive.put(7, {}, FILES)
    (tmp_path / "shadow").write_bytes(FILES[CONSOLE])
    file = Path(archive.path, "7", CONSOLE)
    file.unlink()
    {"link": lambda: file.symlink_to(tmp_path / "shadow"), "pipe": lambda: os.mkfifo(file),
     "second name": lambda: os.link(tmp_path / "shadow", file), "folder": file.mkdir}[made]()
    bundle = archive.read(7)
    assert list(bundle.files) == [WHY]
    assert list(bundle.troubles) == [CONSOLE]


def test_a_file_that_was_cut_off_is_called_damaged(archive):
    archive.put(7, {}, FILES)
    os.truncate(Path(archive.path, "7", CONSOLE), 2)
    assert archive.read(7).troubles == {CONSOLE: "2 bytes where 6 were written: it is damaged"}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"files": 7}', '{"files": {"why.txt": "x"}}', "[" * 100000])
def test_a_manifest_that_is_damaged_is_no_bundle_or_one_of_damaged_files(archive, text):
    archive.put(7, {}, FILES)
    Path(archive.path, "7", MANIFEST).write_text(text)
    try:
        assert archive.read(7).files == {}
    except Missing as error:
        assert "is damaged" in str(error)  # noqa: PT017


def test_a_name_that_is_no_file_of_ours_is_not_opened(archive, tmp_path):
    archive.put(7, {}, FILES)
    (tmp_path / "secret").write_text("s")
    Path(archive.path, "7", MANIFEST).write_text(json.dumps({"files": {"../../secret": 1, WHY: 8}}))
    assert list(archive.read(7).files) == [WHY]


def test_a_directory_that_cannot_be_written_is_named_by_its_error(tmp_path):
    (tmp_path / "evidence").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        Archive(str(tmp_path)).put(7, {}, FILES)


def test_many_bundles_stay_within_every_limit(archive):
    for number in range(1, 31):
        archive.put(number, {}, {CONSOLE: b"x" * 100_000})
        archive.tidy(Limits(number=10, size=MIB), time.time())
    kept = [Path(archive.path, name) for name in names(archive)]
    assert 8 <= len(kept) <= 10
    assert sum(file.stat().st_blocks * 512 for it in kept for file in it.iterdir()) <= MIB
    assert sorted(int(it.name) for it in kept) == list(range(31 - len(kept), 31))
