"""masakari-qga incidents show: one incident and its evidence, on a terminal, for programs, and as a tar to hand on."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from heartbeat.evidence.archive import CONSOLE, COUNTERS, DOMAIN, EVENTS, SCREENSHOT, WHY, Archive
from heartbeat.incident import PANICKED, RECOVER, Close, Open
from heartbeat.ledger import Ledger
from heartbeat.records import listed
from qga_ra import client, command
from qga_ra.supervision import Places

GUEST, OPENED = "6f5e0a2c-0000-4000-8000-000000000001", "2026-11-20T05:00:00.000000+00:00"
EVIL = "\x1b]0;owned\x07\r\nincident  8: all is well \u202e"
PNG = b"\x89PNG\r\n\x1a\n and so on"
FILES = {
    WHY: b"state     panicked\n", EVENTS: b"2026-11-20T05:00:00+00:00 its kernel panicked\n",
    CONSOLE: b"".join(b"line %d\n" % number for number in range(100)), SCREENSHOT: PNG,
    COUNTERS: b'{"first": null}\n', DOMAIN: b"<domain/>\n",
}  # fmt: skip


class Place:
    """A node's state directory and what its configuration says of it. No helper runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.archive = folder, Archive(str(folder / "state"))
        (folder / "conf").write_text(f"[state]\ndirectory = {folder}/state\n")
        self.ledger = Ledger(str(folder / "state"))
        self.ledger.apply([Open(GUEST, "vm", "i1", PANICKED, RECOVER, '{"reason":"panicked"}')], OPENED,
                          {RECOVER: ["masakari"]})  # fmt: skip

    def keep(self, number: int = 1, files=FILES, **about) -> None:
        said = {"id": number, "uuid": GUEST, "name": "vm", "verdict": PANICKED, "action": RECOVER, "opened": OPENED}
        self.archive.put(number, {
            "incident": {**said, **about}, "taken": {"begun": OPENED, "after": 0.01, "seconds": 0.1},
            "screenshot": {"width": 720, "height": 400}, "missing": {"errors.txt": "nothing to tell"},
        }, files)  # fmt: skip

    def show(self, *arguments: str) -> int:
        config = ["--config", str(self.folder / "conf")]
        return command.main(["incidents", "show", *config, *arguments], Places(str(self.folder / "run")))


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.ledger.close()


def test_an_incident_is_shown_with_what_was_kept_of_it(place, capsys):
    place.keep()
    assert place.show("1") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["incident  1: panicked, recover", f"guest     {GUEST} vm"]
    assert out[2] == "opened    2026-11-20T05:00:00Z, open"
    assert f"kept      in {place.folder}/state/evidence/1, begun 0.01 s after it was opened, took 0.1 s" in out
    assert f"          screenshot.png: {len(PNG)} bytes, 720 x 400 pixels" in out
    assert "          errors.txt: not there: nothing to tell" in out
    assert "  state     panicked" in out
    assert "  2026-11-20T05:00:00+00:00 its kernel panicked" in out
    console = out[out.index("console:"):]
    assert console[1:3] == ["  (60 lines before)", "  line 60"]
    assert console[-1] == "  line 99"


def test_the_last_line_of_a_console_is_shown_whether_or_not_the_guest_has_ended_it(place, capsys):
    place.keep(files={**FILES, CONSOLE: b"[ 1.0] booted\nweb login: "})
    assert place.show("1") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["  [ 1.0] booted", "  web login: "]


def test_it_is_found_with_a_helper_as_well(place, capsys, monkeypatch):
    asked = []

    def ask(request, path):
        asked.append(request)
        return json.loads(json.dumps({"incidents": [listed(past) for past in place.ledger.incident(1)]}))

    monkeypatch.setattr(client, "ask", ask)
    place.keep()
    assert place.show("1") == 0
    assert asked == [{"do": "incidents", "incident": 1}]
    found = capsys.readouterr()
    assert "reported  masakari pending" in found.out
    assert found.err == ""


def test_a_helper_of_an_earlier_version_that_answers_something_else_is_not_believed(place, capsys, monkeypatch):
    monkeypatch.setattr(client, "ask", lambda *_: {"incidents": [{"id": 9, "uuid": "another", "opened": "then"}]})
    place.keep()
    assert place.show("1") == 0
    assert "and the ledger has forgotten it" in capsys.readouterr().out


def test_an_incident_that_is_over_says_when_and_why(place, capsys):
    place.ledger.apply([Close(1, "the guest was started again")], OPENED, {})
    assert place.show("1") == 0
    out = capsys.readouterr().out
    assert "ended 2026-11-20T05:00:00Z, the guest was started again" in out
    assert out.endswith("kept      nothing: no evidence is kept of it\n")


def test_evidence_outlives_the_ledgers_memory_of_it(place, capsys):
    place.keep(number=5, name=EVIL)
    assert place.show("5") == 0
    assert "and the ledger has forgotten it" in capsys.readouterr().out


def test_evidence_of_another_incident_that_had_this_number_is_not_shown_as_its_own(place, capsys):
    place.keep(opened="2020-01-01T00:00:00+00:00")
    assert place.show("1") == 0
    out = capsys.readouterr().out
    assert "kept      nothing: no evidence is kept of it, but of another incident that had this number" in out
    assert "line 99" not in out


def test_an_incident_that_nobody_knows_is_said(place, capsys):
    assert place.show("77") == 1
    assert "there is no incident 77 on this node: no evidence is kept of it" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["0", "-1", "x", "1.5", "9" * 30, "\u0661"])
def test_what_is_no_number_is_explained(place, capsys, word):
    with pytest.raises(SystemExit) as left:
        place.show("--", word)
    assert left.value.code == 2
    assert "give the number of an incident" in capsys.readouterr().err


def test_nothing_that_a_terminal_obeys_comes_out_whoever_wrote_it(place, capsys):
    place.keep(files={**FILES, WHY: EVIL.encode(), CONSOLE: (EVIL + "\n").encode() * 3}, name=EVIL)
    manifest = place.folder / "state/evidence/1/incident.json"
    manifest.write_text(manifest.read_text().replace("nothing to tell", json.dumps(EVIL)[1:-1]))
    assert place.show("1") == 0
    assert place.show("1", "--json") == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert all(line.isprintable() for line in out.split("\n"))
    assert "\nincident  8" not in out


def test_for_programs_all_of_it_is_one_document(place, capsys):
    place.keep()
    assert place.show("1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["incident"]["id"] == 1
    assert base64.b64decode(found["evidence"]["files"][SCREENSHOT]) == PNG
    assert found["evidence"]["files"][CONSOLE] == FILES[CONSOLE].decode()
    assert found["evidence"]["files"][COUNTERS] == {"first": None}
    assert found["evidence"]["manifest"]["missing"] == {"errors.txt": "nothing to tell"}


def test_an_export_is_a_tar_of_plain_files_for_root_alone(place, capsys, tmp_path):
    place.keep()
    before = os.umask(0)
    try:
        assert place.show("1", "--export", str(tmp_path / "out.tar")) == 0
    finally:
        os.umask(before)
    assert stat.filemode((tmp_path / "out.tar").stat().st_mode) == "-rw-------"
    with tarfile.open(tmp_path / "out.tar") as tar:
        found = {it.name: tar.extractfile(it).read() for it in tar.getmembers()}
        assert {(it.mode, it.uid, it.gid, it.isreg()) for it in tar.getmembers()} == {(0o600, 0, 0, True)}
    assert {f"incident-1/{name}": content for name, content in FILES.items()}.items() <= found.items()
    manifest = json.loads(found["incident-1/incident.json"])
    assert manifest["ledger"]["verdict"] == PANICKED
    assert "screen, console, domain may hold what is its owner's" in capsys.readouterr().out


def test_an_export_never_replaces_a_file_or_follows_a_link(place, capsys, tmp_path):
    place.keep()
    (tmp_path / "there").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for name in ("there", "link"):
        assert place.show("1", "--export", str(tmp_path / name)) == 1
        assert "is there already; give another name" in capsys.readouterr().err
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "new").exists()
    assert place.show("1", "--export", str(tmp_path / "no/such")) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_an_export_for_which_there_is_no_room_leaves_no_half_of_it(place, capsys, tmp_path, monkeypatch):
    place.keep()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    assert place.show("1", "--export", str(tmp_path / "out.tar")) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out.tar").exists()


def test_without_evidence_there_is_nothing_to_export(place, capsys, tmp_path):
    assert place.show("1", "--export", str(tmp_path / "out.tar")) == 1
    assert "nothing to export of incident 1" in capsys.readouterr().err
    assert not (tmp_path / "out.tar").exists()


@pytest.mark.parametrize("made", ["link", "pipe"])
def test_a_file_of_roots_does_not_come_out_by_a_link_that_somebody_put_there(place, capsys, tmp_path, made):
    place.keep()
    console = place.folder / "state/evidence/1" / CONSOLE
    console.unlink()
    (tmp_path / "shadow").write_bytes(FILES[CONSOLE])
    if made == "link":
        console.symlink_to(tmp_path / "shadow")
    else:
        os.mkfifo(console)
    assert place.show("1") == 0
    assert place.show("1", "--export", str(tmp_path / "out.tar")) == 0
    assert "line 99" not in capsys.readouterr().out
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out.tar").read_bytes())) as tar:
        assert f"incident-1/{CONSOLE}" not in tar.getnames()
