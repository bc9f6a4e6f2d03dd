"""The table of guests in whatever room there is, what stands above it, and how little of it is written anew."""

from __future__ import annotations

import os
import random
import uuid

import pytest

from qga_ra import overview, table
from qga_ra.screen import Screen
from qga_ra.terminal import BOLD, age, cut

NOW = "2026-11-20T05:00:00+00:00"
REPORTED = {"id": 7, "verdict": "hung", "action": "recover", "deliveries": {"masakari": "pending"}}


def guest(number: int, **about: object) -> dict:
    usual = {"uuid": str(uuid.UUID(int=random.Random(number).getrandbits(128))), "name": f"instance-{number:08x}",
             "state": "healthy", "since": "2026-11-20T04:57:30+00:00", "last_answer": "2026-11-20T04:59:52+00:00",
             "armed": True, "holds": [], "incident": None}  # fmt: skip
    return {**usual, **about}


def shown(guests: list[dict], width: int = 200, height: int = 50) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in table.fitted(guests, width, height, NOW)]


def names(guests: list[dict]) -> list[str]:
    return [it["name"] for it in table.ordered(guests)]


def test_who_needs_a_human_is_first_then_who_is_reported_then_who_is_in_doubt_then_who_is_unhealthy_inside():
    well, doubted = guest(1), guest(2, state="suspect")
    ailing = guest(3, checks=[{"name": "web", "status": "unhealthy"}])
    silent, hung = guest(4, state="agent-silent", incident=REPORTED), guest(5, state="hung", incident=REPORTED)
    spent = guest(6, state="hung", incident={**REPORTED, "action": "suspended"})
    lost = guest(7, state="stopped", recovery="not recovered, needs a human")
    wanted = [spent, lost, hung, silent, doubted, ailing, well]
    for seed in range(20):
        mixed = random.Random(seed).sample(wanted, len(wanted))
        assert table.ordered(mixed) == wanted


def test_times_are_ages_where_room_is_short():
    heading, line = shown([guest(1)])
    assert heading.split() == ["UUID", "NAME", "STATE", "FOR", "ANSWERED", "REPORTED"]
    assert "  2 min  8 s " in line


@pytest.mark.parametrize(("then", "text"), [
    (NOW, "0 s"), ("2026-11-20T04:58:01+00:00", "119 s"), ("2026-11-20T04:58:00+00:00", "2 min"),
    ("2026-11-20T03:00:00+00:00", "2 h"), ("2026-11-18T05:00:00+00:00", "2 d"), ("2026-11-20T06:00:00+00:00", "0 s"),
    (None, "-"), ("yesterday", "-"), (5, "-"), ("2026-11-20T05:00:00", "-"),
])  # fmt: skip
def test_ages_for_people(then, text):
    assert age(then, NOW) == text


def test_a_column_of_health_checks_is_there_where_a_guest_has_any():
    checks = [{"name": "web", "status": "unhealthy"}, {"name": "db", "status": "cannot check"},
              {"name": "load", "status": "healthy"}]  # fmt: skip
    lines = shown([guest(1, checks=checks), guest(2, checks=checks[2:]), guest(3, checks=[]), guest(4)])
    at = lines[0].index("CHECKS")
    said = ["web unhealthy, db cannot check, 1 healthy", "1 healthy", "-", "-"]
    assert [line[at:].split("  ")[0] for line in lines[1:]] == [said[0][:37] + "...", *said[1:]]
    assert "CHECKS" not in shown([guest(1), guest(2, checks=[])])[0]
    heading, line = table.whole([guest(1, checks=checks)])
    assert line[heading.index("CHECKS"):].startswith(said[0] + "  ")
    many = [{"name": f"app{number}", "status": "unhealthy"} for number in range(5)]
    assert "app0 unhealthy, app1 unhealthy, app2 unhealthy, +2  " in table.whole([guest(1, checks=many)])[1]


def test_what_a_health_check_causes_is_reported_beside_what_else_is():
    ill = guest(1, unhealthy={**REPORTED, "verdict": "unhealthy", "action": "suspended"})
    both = guest(2, state="hung", incident=REPORTED, unhealthy={**REPORTED, "verdict": "unhealthy"})
    assert table.ordered([guest(3), both, ill]) == [ill, both, guest(3)]
    lines = table.whole([ill, both])
    assert lines[1].endswith("  unhealthy, suspended (needs a human): masakari pending")
    assert lines[2].endswith("  hung, recover: masakari pending; unhealthy, recover: masakari pending")
    header = overview.header({"guests": [ill], "checks": {"held": "9 of 10 \x1b[2J"}})
    assert header[-2:] == ["attention nobody is recovered because of a health check: 9 of 10 \\x1b[2J",
                           "attention 1 guests were recovered too often and need a human; marked below"]


def test_the_uuid_is_shortened_first_and_what_matters_least_is_left_out_next():
    ill = [guest(1, state="hung", incident=REPORTED, checks=[{"name": "web", "status": "healthy"}])]
    headings = [" ".join(shown(ill, width)[0].split()) for width in range(200, 10, -1)]
    assert list(dict.fromkeys(headings))[:6] == [
        "UUID NAME STATE CHECKS FOR ANSWERED REPORTED", "UUID NAME STATE CHECKS ANSWERED REPORTED",
        "UUID NAME STATE CHECKS REPORTED", "UUID STATE CHECKS REPORTED", "UUID STATE REPORTED", "UUID STATE",
    ]  # fmt: skip
    assert ill[0]["uuid"] in shown(ill, 130)[1]
    assert shown(ill, 100)[1].startswith(ill[0]["uuid"][:8] + "  ")
    assert shown(ill, 40) == ["UUID      STATE  REPORTED", f"{ill[0]['uuid'][:8]}  hung   hung, recover: masak..."]


def test_shortened_uuids_stay_unambiguous_those_that_are_not_shown_included():
    alike = ["25efc0bf-16aa-4c83-b4e6-4e0e6d0f0b01", "25efc0bf-16ab-4c83-b4e6-4e0e6d0f0b02"]
    guests = [guest(1, uuid=alike[0]), *(guest(number) for number in range(2, 50)), guest(99, uuid=alike[1])]
    lines = shown(guests, 60, 5)
    assert lines[1].startswith("25efc0bf-16aa  ")
    assert lines[-1] == "and 47 more: 47 healthy"


def test_uuids_that_cannot_be_shortened_leave_their_place_to_the_name():
    guests = [guest(number, uuid=f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(300)]
    assert guests[0]["uuid"] in shown(guests, 110)[1]
    assert shown(guests, 50)[0].split() == ["NAME", "STATE", "REPORTED"]
    assert shown(guests, 50)[1].startswith("instance-00000000  healthy")


def test_it_fits_into_every_room_and_says_how_many_guests_are_left_out():
    guests = [guest(number, state="hung" if number % 3 else "healthy", name="x" * number) for number in range(30)]
    guests[0].update(incident=REPORTED, holds=["job"], checks=[{"name": "web", "status": "unhealthy"}])
    reply = {"guests": guests, "holds": [{}] * 9, "lost": ["x"], "node": "n" * 90, "state": "failed"}
    for width in range(1, 200, 7):
        for height in range(40):
            for lines in (table.fitted(guests, width, height, NOW),
                          overview.frame(reply, "", 0.0, width, height, NOW),
                          overview.frame(reply, "the helper does not answer: stopped " * 9, 5.0, width, height, NOW),
                          overview.frame(None, "the helper does not run", 0.0, width, height, NOW)):  # fmt: skip
                assert len(lines) <= height
                assert all(len("".join(text for text, _ in line)) <= width for line in lines)
    for height in range(3, 31):
        lines = shown(guests, 200, height)
        assert lines[-1].startswith(f"and {30 - (height - 2)} more: ")
        assert len(lines) == height
    assert len(shown(guests, 200, 31)) == 31
    assert "more" not in shown(guests, 200, 31)[-1]


def test_what_is_cut_off_is_seen_to_be_cut_off():
    assert cut([("one ", ""), ("two three", BOLD)], 10) == [("one ", ""), ("two", BOLD), ("...", "")]
    assert cut([("one", "")], 3) == [("one", "")]


@pytest.mark.parametrize("reply", [
    {}, {"guests": 5, "libvirt": [], "backends": {}, "holds": "x", "time": 5, "nova": [], "fitness": 1},
    {"guests": [None, {"checks": 5, "holds": 5, "incident": 5, "uuid": None, "name": []}, {"checks": [5, {}]}]},
])  # fmt: skip
def test_a_reply_of_another_version_is_drawn_as_far_as_it_goes(reply):
    assert overview.frame(reply, "", 0.0, 80, 24, NOW)


@pytest.fixture
def pty():
    master, slave = os.openpty()
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


def test_only_lines_that_have_changed_are_written(pty):
    master, slave = pty
    screen = Screen(slave, None, colour=False)
    lines = [[("one", "")], [("two", "")], []]

    def written(*drawn) -> bytes:
        screen.draw(drawn)
        try:
            return os.read(master, 65536)
        except BlockingIOError:
            return b""

    assert written(*lines).startswith(b"\x1b[0m\x1b[2J\x1b[1;1Hone\x1b[K\x1b[2;1Htwo\x1b[K")
    assert written(*lines) == b""
    assert written(lines[0], [("three", "")]) == b"\x1b[2;1Hthree\x1b[K"
    assert written(lines[0]) == b"\x1b[2;1H\x1b[K"
    screen.redraw()
    assert written(lines[0]) == b"\x1b[0m\x1b[2J\x1b[1;1Hone\x1b[K"
    assert written([("x" * 80, "")]) == b"\x1b[1;1H" + b"x" * 80, "a line that is full must not clear its last sign"
