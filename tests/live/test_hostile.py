"""Guests whose agents mean harm, and domains whose owners do: the helper is unimpressed, and nobody is recovered who
works."""
from __future__ import annotations

import re
import time
from functools import partial
from xml.sax.saxutils import escape

import pytest

from tests.harness import domain_xml
from tests.harness.hypervisor import connect
from tests.harness.wait import until
from tests.harness.ward import settle, together

# 5 MiB are more than one message to us may have, 11 MiB more than libvirt takes from an agent.
SIZES = {"huge": 5, "huger": 11, "slowping": 3}
ALIVE = ("error", "escape", "syncmute", "slowping", "null", "double")
USELESS = ("mute", "badsync", "flood", "open")
MODES = (*ALIVE, *USELESS, "garbage", "list", "huge", "huger")
HEAVY = {"flood", "huge", "huger"}
NAME = "$(reboot)`id`;'\"&<b>\u202e\U0001f4a9\\x1b[2J" + "n" * 120
METADATA = "<x:y xmlns:x='urn:x'><![CDATA[</domain>]]><!-- \u2028 --></x:y>"


@pytest.fixture(scope="module")
def ward(module_ward):
    ward = module_ward()
    ward.boot("sound", *MODES)
    ward.watch()
    for modes in (set(MODES) - HEAVY, HEAVY):       # those that burn a core come last
        together(*(partial(ward[mode].evil, mode.replace("huger", "huge"), SIZES.get(mode, 1)) for mode in modes),
                 width=4)
    ward.broken_at = time.monotonic()
    return ward


def test_an_agent_that_says_nothing_of_use_is_silent_in_a_guest_that_works(ward):
    ward.wait("agent-silent", *USELESS)
    for mode in USELESS:
        assert ward.incidents(mode)[-1][:2] == ("agent-silent", "record")


def test_any_answer_of_an_agent_is_life(ward):
    ward.wait("healthy", *ALIVE)
    ward.answers(*ALIVE, rounds=2, seconds=30)
    ward.wait("healthy", *ALIVE)


def test_nobody_who_works_is_recovered_whatever_the_agent_says(ward):
    settle(ward.broken_at, 40)
    ward.answers("sound", rounds=3)     # on time, beside all of them
    for part in ("sound", *MODES):
        assert "recover" not in [it[1] for it in ward.incidents(part)], part
    assert ward.incidents("sound") == []
    assert ward.endpoint.attempts == []


def test_the_log_stays_plain_and_short(ward):
    lines = (ward.folder / "log").read_bytes().splitlines()
    assert max(map(len, lines)) <= 500
    assert [line for line in lines if not re.fullmatch(rb"[ -~]*", line)] == []
    # transitions, not answers: a guest may not fill it
    assert len(lines) < 40 * len(ward.guests)
    assert b"Traceback" not in b"".join(lines)
    assert (ward.folder / "stderr").read_bytes() == b""


def test_an_agent_that_is_replaced_by_an_honest_one_is_well_again(ward):
    parts = ("mute", "garbage", "list")
    together(*(ward[part].reform for part in parts))
    ward.wait("healthy", *parts)
    assert all(ward.seen(part)["incident"] is None for part in parts)


@pytest.fixture
def strange(ward):
    """Starts a guest whose domain has this name and these metadata; they may need a document type."""
    started = []

    def start(part: str, name: str, metadata: str, doctype: str = "") -> None:
        guest = ward.add(part)
        xml = domain_xml.render(guest.number, guest.name, guest.uuid, balloon_period=1)
        xml = xml.replace(f"<name>{guest.name}</name>", f"<name>{escape(name)}</name>")
        xml = re.sub("(?s)<metadata>.*</metadata>", lambda _: f"<metadata>{metadata}</metadata>", xml)
        started.append(connect().createXML(doctype + xml))
        assert started[-1].name() == name
    yield start
    for domain in started:
        domain.destroy()


def test_a_domain_with_a_hostile_name_and_description_is_watched_like_any_other(ward, strange):
    strange("named", NAME, METADATA)
    ward.wait("healthy", "named")
    assert ward.seen("named")["name"] == NAME
    ward["named"].suspend()
    ward.wait("paused", "named")
    lines = [line for line in ward.helper.log().splitlines() if ward["named"].uuid in line]
    assert any("reboot" in line and "paused" in line for line in lines)     # logged with its name
    assert [line for line in lines if not (line.isascii() and line.isprintable() and len(line) <= 500)] == []


def test_a_domain_that_cannot_be_understood_is_named_in_the_log_and_troubles_nobody_else(ward, strange):
    strange("riddle", "riddle", "<x:y xmlns:x='urn:x'>&riddle;</x:y>", "<!DOCTYPE domain [<!ENTITY riddle 'what'>]>")
    assert "&riddle;" in ward["riddle"].domain.XMLDesc()
    until(lambda: f"guest {ward['riddle'].uuid} is not watched" in ward.helper.log(), "the log to say so")
    ward.answers("sound", "error", rounds=2)
    assert ward.state("riddle") == "not known"
