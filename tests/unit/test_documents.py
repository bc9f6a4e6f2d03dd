"""What programs are told is what docs/status-json.rst says: every field of every document, its type, and its nulls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from heartbeat import FORMAT, __version__, configuration
from heartbeat import watch as states_of
from heartbeat.backends.attributes import Attributes
from heartbeat.budget import Budget
from heartbeat.choices import Choices
from heartbeat.delivery import Courier
from heartbeat.discrepancies import Discrepancies, Limits
from heartbeat.evidence.archive import Archive
from heartbeat.expectation import Answer
from heartbeat.guest import Channel, Guest
from heartbeat.health.account import Account, Known
from heartbeat.health.condition import Condition
from heartbeat.health.course import Result, Status
from heartbeat.health.replies import Reply
from heartbeat.holds import GRACE, begin
from heartbeat.hostname import Hostname
from heartbeat.incident import ACTIONS, HUNG, MISSING, OBSERVED, RECORD, RECOVER, SUSPENDED, UNHEALTHY, Close, Open
from heartbeat.ledger import Ledger
from heartbeat.outcome import ANSWERED, IGNORED, NOT_RECOVERED, RECOVERED, SKIPPED
from heartbeat.patience import Estimate
from heartbeat.probe import Answer as Answered
from heartbeat.records import CLEARED, DELIVERED, EXPIRED, FAILED, PENDING, REFUSED
from heartbeat.reporting import Reporting
from heartbeat.requests import Node, handlers
from heartbeat.schedule import Schedule
from heartbeat.terms import Terms
from heartbeat.watch import HEALTHY, SUSPECT, Fitness, Timing, Watch
from heartbeat.witness import Cpu, Sample, Says, Slices
from qga_ra import check, command
from qga_ra.supervision import Places
from tests.harness.wards import APP

PAGE = (Path(__file__).resolve().parents[2] / "docs/status-json.rst").read_text()
COMMANDS = ("status", "why", "incidents", "hold", "release", "probe", "check")
OTHERS = ("incidents show",)
ITEM = re.compile(r"^(``[^`\n]+``(?:, ``[^`\n]+``)*) \(([^)\n]+)\)\n((?:    .*\n)+)", re.M)
LIKE = re.compile(r"with the fields of ``([^`]+)``(?: under (\w+))?")
TYPES = {"text", "time", "uuid", "integer", "number", "boolean", "object", "list"}
WELL, ILL, GONE = (f"25efc0bf-1659-4c83-b4e6-4e0e6d0f0b0{number}" for number in (1, 2, 3))
NOW = "2026-11-20T05:00:00.000000+00:00"

Fields = dict[str, frozenset[str]]  # path -> types, "null" among them


def own(heading: str) -> tuple[Fields, list[tuple[str, str, str]]]:
    """The fields that the page gives below this heading; and which of them has the fields of which other, below which
    heading."""
    body = re.split(r"\n[^\n]+\n-+\n", PAGE.partition(f"\n{heading}\n{'-' * len(heading)}\n")[2])[0]
    found: Fields = {}
    alike = []
    for paths, types, text in ITEM.findall(body):
        names, each = re.findall(r"``([^`]+)``", paths), types.split(", ")
        assert len(names) == len(each), paths
        for name, words in zip(names, each):
            assert name not in found, f"{name} stands there twice"
            found[name] = frozenset(words.split(" or "))
            assert found[name] <= TYPES | {"null"}, f"{name}: {words}"
        like = LIKE.search(" ".join(text.split()))
        alike += [(names[0], like[1], like[2] or heading)] if like else []
    return found, alike


def described(heading: str) -> Fields:
    found, alike = own(heading)
    every = own("Every document")[0] if heading in (*COMMANDS, *OTHERS) else {}
    for name, other, place in alike:
        there = found if place == heading else described(place)
        inside = {path: kinds for path, kinds in there.items() if path.startswith(other + ".")}
        found.update({name + path[len(other):]: kinds for path, kinds in inside.items()})
    return {**every, **found}


def seen(documents: list[dict], known: Fields) -> Fields:
    """The fields of real documents, and of which types they were."""
    found: dict[str, set[str]] = defaultdict(set)

    def walk(path: str, value: object) -> None:
        if path:
            found[path].add(kind(value))
        if isinstance(value, dict):
            for name, inner in value.items():
                way = f"{path}.{name}" if path else name
                walk(f"{path}.*" if way not in known and f"{path}.*" in known else way, inner)
        for inner in value if isinstance(value, list) else ():
            walk(f"{path}[]", inner)

    for document in documents:
        walk("", json.loads(json.dumps(document, allow_nan=False)))
    return {path: frozenset(kinds) for path, kinds in found.items()}


def kind(value: object) -> str:
    if isinstance(value, str):
        return "uuid" if _is(UUID, value) else "time" if _is(datetime.fromisoformat, value) else "text"
    kinds = {type(None): "null", bool: "boolean", int: "integer", float: "number", dict: "object", list: "list"}
    return kinds[type(value)]


def _is(read, text: str) -> bool:
    try:
        found = read(text)
    except ValueError:
        return False
    return str(found) == text or (isinstance(found, datetime) and found.utcoffset() is not None)


def same(said: frozenset[str], was: frozenset[str]) -> bool:
    """A text may look like a uuid or a time, and a number like an integer."""
    loose = {"text": {"text", "uuid", "time"}, "number": {"number", "integer"}}
    allowed = set().union(*(loose.get(word, {word}) for word in said))
    return was <= allowed and all(was & loose.get(word, {word}) for word in said)


class Owner:
    """The owner loop, as the handlers see it: everything runs at once."""

    def __init__(self, watches: dict[str, Watch], nova: Discrepancies, terms: dict[str, Terms], link: str,
                 health: dict[str, Account]) -> None:  # fmt: skip
        choices = Choices()
        choices.terms = terms.get
        incidents = {uuid: it.incident for uuid, it in health.items() if it.incident}
        breaker = SimpleNamespace(trouble="many at once" if health else "")
        ill = SimpleNamespace(patients=health, incidents=incidents, breaker=breaker)
        self.guests = SimpleNamespace(
            watches=watches, choices=choices, discrepancies=nova, timing=lambda _, usual: usual, diagnoses=ill
        )
        self.ward = SimpleNamespace(account=lambda uuid: health.get(uuid, Account()), by_hand=self.probe, defined={},
                                    known=lambda uuid: health[uuid].known)  # fmt: skip
        self.schedule, self.timing = Schedule(10, 4, 4), Timing(10, 5, 15, 60)
        self.link, self.link_since = link, 0.0

    def call(self, function):
        return function()

    def probe(self, uuid, name, tell, now):
        tell(Result(Status.UNKNOWN if name else Status.HEALTHY, "no answer", 0.5), Reply(Answered.ALIVE))
        return ""


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "state"))
    yield ledger
    ledger.close()


@pytest.fixture
def desk(tmp_path, ledger):
    """What answers on a node, with these guests. nova: what it has answered, if it is asked."""
    path = tmp_path / "ours.conf"
    path.write_text(f"[masakari]\ncredentials = {tmp_path}/none\n")
    path.chmod(0o640)
    reporting = Reporting(configuration.load(str(path)), "node-1", Hostname("compute-1", ""), ledger, lambda: NOW)
    courier = Courier(SimpleNamespace(name="masakari"), ledger, str, str, lambda: NOW)
    reporting._couriers, reporting._attributes = {"masakari": (courier, None)}, Attributes("node-1", 1, 60)

    def desk(*watches: Watch, nova: str = "", terms: Terms | None = None, held: str = "", trouble: str = "",
             health: dict[str, Account] | None = None) -> dict:  # fmt: skip
        here = {it.guest.uuid: it for it in watches}
        word = Discrepancies(ledger, lambda: NOW, dict, print, print, here)
        word.configure(Limits("compute-1", 300.0, 30.0, 3) if nova else None)
        if nova == "all is well":
            word.heard(Answer(0.0, True, (), (), ""))
        elif nova:
            word.unheard(nova)
        reporting._attributes.error = trouble or None
        said = SimpleNamespace(state="ok", hostname=reporting.hostname, status=reporting.status, lost=[WELL])
        node = Node(lambda: "node-1", lambda: Budget(3, 3600.0), lambda _: Fitness(True, "", held, stretch=2.0),
                    lambda _: None, lambda: NOW)  # fmt: skip
        owner = Owner(here, word, dict.fromkeys(here, terms) if terms else {}, trouble, health or {})
        return handlers(owner, ledger, said, node)

    return desk


def watch(uuid: str, state: str = HEALTHY, **known: object) -> Watch:
    about = {"armed": True, "answered": 1.0, **known}
    return Watch(Guest(uuid, "instance-00000001", Channel.OPEN, 10, 1), "i1", 0.0, 0.0, state, **about)


def suspect(at: float, balloon: int = 4992) -> Watch:
    """One of which everything is known that can be. at: of the second look."""
    cpus = {41: Slices(10**9, 0, 100)}
    first = Sample(10.0, 5000.0, True, balloon, 70, 30, cpus, "S")
    last = first if at == 10.0 else Sample(at, 5007.0, True, balloon, 70, 42, {41: Slices(2 * 10**9, 5, 114)}, "S")
    return watch(WELL, SUSPECT, silent_from=9.0, silences=2, first=first, last=last, asked=11.0, closed_from=11.5,
                 answers=Estimate(0.002, 0.001), holds=begin((), GRACE, "resumed", 1.0, 30.0))  # fmt: skip


def incidents(ledger: Ledger) -> dict[str, object]:
    """In each state that an incident, its report and its recovery may be in."""
    owed = {RECOVER: ["masakari", "webhook"], RECORD: ["webhook"]}
    opened = ledger.apply([Open(ILL, "vm", "i1", HUNG, RECOVER, "{}"), Open(GONE, "vm", "nova", MISSING, RECORD, "{}"),
                           Open(WELL, "vm", "i1", HUNG, RECOVER, "{}"),
                           Open(ILL, "vm", "i1", UNHEALTHY, RECOVER, "{}")], NOW, owed)  # fmt: skip
    for it in ledger.pending("masakari"):
        ledger.attempt(it.id)
        ledger.delivered(it.id, NOW, "ref")
    for it in ledger.followed():
        if it.uuid == WELL:
            ledger.learned(it._replace(outcome=NOT_RECOVERED, why="it is down", decided=0.0, human=True))
    ledger.apply([Close(opened[2].id, "the guest was stopped")], NOW, owed)
    return {ILL: opened[0], UNHEALTHY: opened[3]}


def documents(desk, ledger: Ledger) -> dict[str, list[dict]]:
    """Real documents of each command, among which each field is of each type that it may be of."""
    quiet, away = desk(watch(WELL), nova="Nova answers 503"), desk(trouble="nobody answers")
    found = {"status": [away["status"]({}), quiet["status"]({})], "why": [quiet["why"]({"uuid": WELL})]}
    opened = incidents(ledger)
    ill = watch(ILL, HUNG, answered=None, incident=opened[ILL], holds=begin((), GRACE, "resumed", 1.0, 30.0))
    known = Condition(Status.UNHEALTHY, "no database", 0.0, 0.0, 0.25, 2, 0.0)
    health = {ILL: Account([Known(APP, known), Known(APP, None)], "", "", opened[UNHEALTHY])}
    terms = Terms("", "medium", RECOVER, ("the flavor says yes",), True)
    held = "the node is in maintenance"
    node = desk(ill, suspect(17.0), health=health, nova="all is well", terms=terms, held=held)
    found["hold"] = [node["hold"]({"scope": WELL, "seconds": 60, "reason": "x"})]
    found["status"] += [node["status"]({})]
    found["why"] += [node["why"]({"uuid": uuid}) for uuid in (ILL, WELL)]
    mute = terms._replace(screenshot=None)
    found["why"] += [desk(it, terms=mute)["why"]({"uuid": WELL}) for it in (suspect(10.0), suspect(17.0, balloon=0))]
    node["hold"]({"scope": "all", "seconds": 60, "reason": "x"})
    found["probe"] = [node["probe"]({"uuid": WELL, "check": name}) for name in ("app", None)]
    return {**found, "incidents": [node["incidents"]({})], "release": [node["release"]({"scope": WELL})]}


def test_every_field_is_on_the_page_and_of_the_type_that_stands_there(desk, ledger):
    for name, examples in documents(desk, ledger).items():
        known = described(name)
        compare(name, known, seen(examples, known))


def compare(name: str, known: Fields, was: Fields) -> None:
    assert sorted(was.keys() - known.keys()) == [], f"of {name}: said, but not on the page"
    assert sorted(known.keys() - was.keys()) == [], f"of {name}: on the page, but not said"
    wrong = {path: (sorted(known[path]), sorted(was[path])) for path in known if not same(known[path], was[path])}
    assert wrong == {}, f"of {name}: on the page, and said"


def test_a_check_is_told_as_the_page_says(monkeypatch, capsys):
    found = [{"level": "ok", "step": "x", "text": "y", "remedy": ""}, {"level": "note", "step": "x", "text": "y"}]
    monkeypatch.setattr(check, "_all", lambda options, places: iter(found))
    assert command.main(["check", "--json"], Places("/nowhere")) == 0
    known = described("check")
    compare("check", known, seen([json.loads(capsys.readouterr().out)], known))


def test_incidents_from_the_ledger_itself_are_the_same_document(desk, ledger, tmp_path, capsys):
    incidents(ledger)
    (tmp_path / "conf").write_text(f"[state]\ndirectory = {tmp_path}/state\n")
    assert command.main(["incidents", "--json", "--config", str(tmp_path / "conf")], Places(str(tmp_path))) == 0
    assert json.loads(capsys.readouterr().out) == desk()["incidents"]({})


def test_an_incident_with_its_evidence_is_told_as_the_page_says(ledger, tmp_path, capsys):
    opened = incidents(ledger)[ILL]
    manifest = {"incident": {"id": opened.id, "uuid": opened.uuid, "opened": opened.opened}}
    Archive(str(tmp_path / "state")).put(opened.id, manifest, {"why.txt": b"it hangs\n"})
    (tmp_path / "conf").write_text(f"[state]\ndirectory = {tmp_path}/state\n")
    known, found = described("incidents show"), []
    for number in (opened.id, opened.id + 1):
        words = ["incidents", "show", str(number), "--json", "--config", str(tmp_path / "conf")]
        assert command.main(words, Places(str(tmp_path))) == 0
        found.append(json.loads(capsys.readouterr().out))
    for document in found:  # what is below these is described elsewhere
        document["incident"] = None if document is found[0] else {}
        if document["evidence"]:
            document["evidence"] |= {key: {} for key in ("manifest", "files", "damaged")}
    known = {name: kinds for name, kinds in known.items() if not name.startswith("incident.")}
    compare("incidents show", known, seen(found, known))
    assert found[0]["why"] == ""
    assert "no evidence" in found[1]["why"]


def test_every_document_says_what_it_is_to_be_read_as(desk, ledger):
    assert f"``format`` (integer)\n    {FORMAT}.\n" in PAGE
    for examples in documents(desk, ledger).values():
        assert all((it["format"], it["version"]) == (FORMAT, __version__) for it in examples)


def test_every_command_with_json_has_its_heading():
    parsers = command.parser()._subparsers._group_actions[0].choices
    json_too = [name for name, sub in parsers.items() if "--json" in sub._option_string_actions]
    assert sorted(json_too) == sorted(COMMANDS)
    assert all(described(name) for name in json_too)


def test_the_words_that_a_field_may_have_are_on_the_page():
    states = {word for name, word in vars(states_of).items() if name.isupper() and isinstance(word, str)}
    words = {*states, RECORD, RECOVER, OBSERVED, SUSPENDED, PENDING, DELIVERED, REFUSED, EXPIRED, FAILED, CLEARED,
             *(it.value for it in (*Channel, *Says, *Cpu, *Status)),
             RECOVERED, ANSWERED, NOT_RECOVERED, SKIPPED, IGNORED}  # fmt: skip
    page = " ".join(PAGE.split())
    assert [word for word in sorted(words - set(ACTIONS)) if f"``{word}``" not in page] == []


def test_the_program_on_the_page_names_who_has_an_incident(desk, ledger):
    program = textwrap.dedent(re.search(r"python3 -c '\n(.*?)'\n", PAGE, re.S)[1])
    document = json.dumps(documents(desk, ledger)["status"][-1])
    ran = subprocess.run([sys.executable, "-c", program], input=document, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == (f"{ILL} {HUNG} {RECOVER}\n", "")


def test_a_field_that_is_missing_on_either_side_is_noticed():
    known = {"a": frozenset({"text"}), "b": frozenset({"number", "null"})}
    compare("x", known, {"a": frozenset({"time"}), "b": frozenset({"integer", "null"})})
    for was in ({"a": frozenset({"text"})}, {**known, "c": frozenset({"text"})}, {**known, "b": frozenset({"number"})},
                {**known, "a": frozenset({"null", "text"})}, {**known, "a": frozenset({"boolean"})}):
        with pytest.raises(AssertionError):
            compare("x", known, was)
