"""A guest whose owner chose its name to do harm fails: it is reported like any other, its name text wherever it is."""
from __future__ import annotations

import os
import re
import signal
import sqlite3
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.harness import domain_xml
from tests.harness.guests import Guest
from tests.harness.hypervisor import connect
from tests.harness.node import RESOURCE
from tests.harness.wait import until

SECTIONS = {"watch": {"interval": 2, "timeout": 1, "silence": 12}, "breaker": {"action": "report"}}
PROOF = Path("/run/proof")
LEDGER = Path("/var/lib/masakari-qga/ledger.sqlite")
# For a shell, SQL, Pacemaker's arithmetic, a log, JSON and XML, a terminal that reads from right to left.
NAMES = (
    "$(touch ${HOME}-proof)`touch proof`;touch proof|touch proof&",
    "x'; DROP TABLE delivery; DROP TABLE incident; --",
    "value++ -U ok -n qga-state",
    "a %s %(message)s {0} \\n2026-01-01 ERROR forged",
    '","verdict":"healthy","x":"]]><qga>&amp;<!--',       # all that libvirt refuses is a slash and a new line
    "\u009b2J\u202eevil\u2028\U0001f4a9\u00e9",
)


def start(number: int, name: str) -> Guest:
    """A guest as Nova would make it, but for its name."""
    guest = Guest(number)
    xml = domain_xml.render(guest.number, guest.name, guest.uuid)
    xml = xml.replace(f"<name>{guest.name}</name>", f"<name>{escape(name)}</name>")
    connect().defineXML(xml).create()
    guest.wait_agent()
    return guest


def qemu(guest: Guest) -> int:
    """Its process, found by its uuid."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if guest.uuid.encode() in words and b"qemu-system" in words[0]:
            return int(path.name)
    raise ProcessLookupError(guest.uuid)


@pytest.fixture
def failed(resource):
    """A guest of each name, all well and then dead."""
    made: list[Guest] = []
    try:
        for number, name in enumerate(NAMES, 100):
            made.append(start(number, name))
        for guest in made:
            resource.wait_state(guest.uuid, "healthy")
        for guest in made:
            os.kill(qemu(guest), signal.SIGKILL)
        resource.endpoint.wait(len(made), 120)
        yield made
    finally:
        resource.discard()
        for guest in made:
            domain = guest.domain
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        resource.endpoint.attempts.clear()


def test_it_is_reported_and_its_name_is_text_wherever_it_goes(resource, failed):
    uuids = sorted(guest.uuid for guest in failed)
    assert sorted(it.notification["payload"]["instance_uuid"] for it in resource.endpoint.notifications) == uuids
    assert not [path for folder in ("/", "/root", "/run", "/tmp", "/var/lib/pacemaker/cores")
                for path in Path(folder).glob("*proof*")]
    assert not PROOF.exists()
    # Kept exactly, as data; what is shown is printable ASCII, a line for a line.
    with sqlite3.connect(f"file:{LEDGER}?mode=ro", uri=True) as ledger:
        kept = dict(ledger.execute("SELECT uuid, name FROM incident"))
    ledger.close()
    assert [kept[guest.uuid] for guest in failed] == list(NAMES)
    assert sorted(it["name"] for it in resource.status()["guests"]) == sorted(NAMES)
    shown = [resource.command(*words).stdout for words in
             (("status",), ("status", "--json"), ("incidents",), ("incidents", "--json"),
              *(("why", guest.uuid) for guest in failed))]
    shown += [resource.log(), resource.run("crm_mon", "-1A").stdout, resource.run("cibadmin", "-Q").stdout]
    for text in shown:
        assert [line for line in text.split("\n") if not re.fullmatch(r"[\t -~]*", line)] == []
    for text in (*shown[:1], resource.log()):
        assert not re.search(r"^2026-01-01 ERROR forged", text, re.MULTILINE)
    assert not any("DROP TABLE" in text or "proof" in text for text in shown[-2:])
    until(lambda: resource.cluster.attributes()["qga-failed"] == str(len(NAMES)), "the number of the failed")
    assert set(resource.cluster.attributes()["qga-failed-vms"].split(",")[:5]) == set(uuids[:5])
    assert resource.cluster.failures() == []
    assert resource.cluster.resource_state(RESOURCE).role == "Started"
