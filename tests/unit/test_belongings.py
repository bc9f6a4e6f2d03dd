"""Whose the ledger and the evidence are when the helper's user changes: what is its own goes with it, and no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heartbeat import configuration
from heartbeat.belongings import ROOT, Unfit, User, hand_over
from heartbeat.evidence.archive import CONSOLE, Archive

USER = User("somebody", 64123, 64123, (64123,))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


class Place:
    def __init__(self, folder: Path) -> None:
        self.run, self.state = folder / "run", folder / "state"
        for path in (self.run, self.state):
            path.mkdir(mode=0o700)
        (folder / "conf").write_text(f"[state]\ndirectory = {self.state}\n")
        self.config = configuration.load(str(folder / "conf"))
        (self.state / "ledger.sqlite").touch(0o600)
        Archive(str(self.state)).put(7, {}, {CONSOLE: b"x"})
        self.bundle = self.state / "evidence/7"

    def give(self, user: User) -> None:
        hand_over(self.config, str(self.run), user)

    def owners(self) -> set[int]:
        return {path.lstat().st_uid for path in (self.state, *self.state.rglob("*"))}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_evidence_goes_with_the_ledger_to_the_helpers_user_and_back(place):
    assert place.owners() == {0}
    place.give(USER)
    assert place.owners() == {USER.uid}
    place.give(ROOT)
    assert place.owners() == {0}


def test_what_the_user_has_slipped_into_the_evidence_does_not_become_roots(place, tmp_path):
    place.give(USER)
    (tmp_path / "precious").write_text("root's")
    (tmp_path / "folder").mkdir()
    (place.bundle / "link").symlink_to(tmp_path / "precious")
    os.link(tmp_path / "precious", place.bundle / "second-name")
    (place.bundle / "open").touch(0o666)
    os.mkfifo(place.bundle / "pipe")
    (place.state / "evidence/elsewhere").symlink_to(tmp_path / "folder")
    for name in ("open", "pipe"):
        os.chown(place.bundle / name, USER.uid, USER.gid)
    os.lchown(place.bundle / "link", USER.uid, USER.gid)
    os.chown(tmp_path / "folder", USER.uid, USER.gid)
    os.chown(tmp_path / "precious", USER.uid, USER.gid)
    place.give(ROOT)
    assert (place.bundle / CONSOLE).stat().st_uid == 0
    assert (tmp_path / "precious").stat().st_uid == (tmp_path / "folder").stat().st_uid == USER.uid
    assert {(place.bundle / name).lstat().st_uid for name in ("link", "open", "pipe")} == {USER.uid}


def test_evidence_that_is_a_link_is_not_followed(place, tmp_path):
    os.rename(place.state / "evidence", tmp_path / "elsewhere")
    (place.state / "evidence").symlink_to(tmp_path / "elsewhere")
    place.give(USER)
    assert (tmp_path / "elsewhere").stat().st_uid == 0


def test_a_directory_with_anything_else_in_it_is_still_nobodys_to_be_given(place):
    (place.state / "of-somebody-else").mkdir()
    with pytest.raises(Unfit, match="holds other things than the ledger"):
        place.give(USER)
    assert place.owners() == {0}
