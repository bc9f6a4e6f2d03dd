"""The guests of a node as a table, what needs attention first, in whatever room there is. Pure.

Two forms: the whole one says times as the helper does, and is as wide as it becomes; the fitted one says ages, and
leaves out what a narrow terminal has no room for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qga_ra.terminal import BAD, BOLD, GOOD, WARN, Line, age, cut, plain, record, records

UUID, NAME, STATE, CHECKS, SINCE, ANSWER, REPORTED = COLUMNS = (
    "UUID", "NAME", "STATE", "CHECKS", "SINCE", "LAST ANSWER", "REPORTED",
)  # fmt: skip
SHORTER = {SINCE: "FOR", ANSWER: "ANSWERED"}  # headings of ages
BADLY = ("hung", "panicked", "qemu-died", "io-error", "qemu-stuck")
DOUBTFUL = ("suspect", "agent-silent", "agent-down", "never-answered", "unknown")
TROUBLES_FIRST = BADLY + DOUBTFUL
STYLES = {**dict.fromkeys(BADLY, BAD), **dict.fromkeys(DOUBTFUL, WARN), "healthy": GOOD}

GAP = "  "
ROOM = 24  # columns that reports are left before another column goes, and what they then are cut to at least
LEAST = 8
LONGEST_NAME, LONGEST_CHECKS = 24, 40  # columns; Nova's names are instance-00000001
PREFIX, LONGEST_PREFIX = 8, 13  # characters of a uuid; from four on `why` takes one that is unambiguous

Guest = Mapping[str, Any]
Cells = Mapping[str, str]


def whole(guests: Sequence[Guest]) -> list[str]:
    """A line for each guest, below a heading."""
    if not guests:
        return ["no guests"]
    rows = [{**cells(guest), SINCE: plain(guest.get("since")), ANSWER: plain(guest.get("last_answer"))}
            for guest in ordered(guests)]  # fmt: skip
    shown = columns(guests)
    return ["".join(text for text, _ in line) for line in lines(shown, {}, rows, [""] * len(rows), None)]


def fitted(guests: Sequence[Guest], width: int, height: int, now: str) -> list[Line]:
    """At most `height` lines of at most `width` columns. now: UTC in ISO 8601, of which the ages are."""
    if not guests:
        return [[("no guests", "")]][:height]
    found = ordered(guests)
    room = height - 1 if height > 2 else height  # a heading without a guest would say nothing
    shown = found if len(found) <= room else found[: max(room - 1, 0)]
    hidden = found[len(shown) :]
    prefix = shortest([plain(guest.get("uuid")) for guest in found])
    rows = [
        {
            **cells(guest),
            NAME: plain(guest.get("name"), LONGEST_NAME),
            CHECKS: plain(checked(guest), LONGEST_CHECKS),
            SINCE: age(guest.get("since"), now),
            ANSWER: age(guest.get("last_answer"), now),
        }
        for guest in shown
    ]
    kept, fitting = _fit(columns(guests), rows, prefix, width)
    made = lines(kept, SHORTER, fitting, [style(guest) for guest in shown], width)
    if hidden:
        made.append(cut([(f"and {len(hidden)} more: {counted(hidden)}", BOLD)], width))
    return made[len(made) - height :] if len(made) > height else made


def ordered(guests: Sequence[Guest]) -> list[Guest]:
    return sorted(guests, key=urgency)


def urgency(guest: Guest) -> tuple[bool, bool, int, bool, str, str]:
    """Who needs a human comes first, then what is being reported, then who is in doubt."""
    found, state = incidents(guest), plain(guest.get("state"))
    human = suspended(guest) or "needs a human" in str(guest.get("recovery"))[:200]
    rank = TROUBLES_FIRST.index(state) if state in TROUBLES_FIRST else len(TROUBLES_FIRST)
    return not human, not found, rank, not ailing(guest), plain(guest.get("name")), plain(guest.get("uuid"))


def counted(guests: Sequence[Guest]) -> str:
    """How many guests are in which state, the worst first."""
    found = Counter(plain(guest.get("state"), 20) for guest in guests)
    held = sum(bool(guest.get("holds")) for guest in guests)
    ranks = {state: number for number, state in enumerate(TROUBLES_FIRST)}
    states = sorted(found, key=lambda state: (ranks.get(state, len(ranks)), -found[state], state))
    return ", ".join([f"{found[state]} {state}" for state in states] + ([f"{held} held"] if held else []))


def columns(guests: Sequence[Guest]) -> list[str]:
    """Those that these guests need: only some nodes have health checks."""
    wanted = any(guest.get("checks") for guest in guests)
    return [column for column in COLUMNS if column != CHECKS or wanted]


def cells(guest: Guest) -> dict[str, str]:
    """All but the times."""
    state = plain(guest.get("state"))
    if guest.get("armed") is False and state == "healthy":
        state += " (not armed)"
    if guest.get("holds"):
        state += " (held)"
    ways = [reported(incident) for incident in incidents(guest)]
    ways += [f"recovery: {plain(guest['recovery'])}"] if guest.get("recovery") else []
    uuid, name = (plain(guest.get(word)) for word in ("uuid", "name"))
    return {UUID: uuid, NAME: name, STATE: state, CHECKS: checked(guest), REPORTED: "; ".join(ways) or "-"}


def incidents(guest: Guest) -> list[Mapping[str, Any]]:
    """The open ones: of the guest's own failure, and of its health checks."""
    return [record(guest[name]) for name in ("incident", "unhealthy") if record(guest.get(name))]


def suspended(guest: Guest) -> bool:
    return any(incident.get("action") == "suspended" for incident in incidents(guest))


def ailing(guest: Guest) -> bool:
    return any(it.get("status") == "unhealthy" for it in records(guest.get("checks")))


def checked(guest: Guest) -> str:
    """The health checks that are not healthy by name, the others as a number."""
    found = records(guest.get("checks"))
    others = [it for it in found if it.get("status") != "healthy"]
    well = len(found) - len(others)
    said = [f"{plain(it.get('name'), 32)} {plain(it.get('status'), 16)}" for it in others[:3]]
    said += [f"+{len(others) - 3}"] if len(others) > 3 else []
    return ", ".join([*said, *([f"{well} healthy"] if well else [])]) or "-"


def reported(incident: Mapping[str, Any]) -> str:
    """verdict, action and how far each backend is; "-" where nothing is being reported."""
    if not incident:
        return "-"
    deliveries = record(incident.get("deliveries"))
    ways = ", ".join(f"{plain(name, 20)} {plain(state, 20)}" for name, state in list(deliveries.items())[:8])
    human = " (needs a human)" if incident.get("action") == "suspended" else ""
    return f"{plain(incident.get('verdict'))}, {plain(incident.get('action'))}{human}" + (f": {ways}" if ways else "")


def style(guest: Guest) -> str:
    if guest.get("holds"):
        return WARN
    found = STYLES.get(plain(guest.get("state")), "")
    return WARN if found == GOOD and (ailing(guest) or incidents(guest)) else found


def shortest(uuids: Sequence[str]) -> int:
    """How many characters from the beginning tell all of these apart, PREFIX at least."""
    found = sorted(set(uuids))
    alike = [_alike(one, other) for one, other in zip(found, found[1:])]
    return max([PREFIX, *(length + 1 for length in alike)])


def lines(
    shown: Sequence[str], titles: Mapping[str, str], rows: Sequence[Cells], styles: Sequence[str], width: int | None
) -> list[Line]:
    """Cells below each other. styles: of each row's state. width: None for whatever it takes."""
    headings = {column: titles.get(column, column) for column in shown}
    widths = {column: max(len(row[column]) for row in (headings, *rows)) for column in shown}
    made: list[Line] = []
    for number, row in enumerate((headings, *rows)):
        line: Line = []
        for column in shown:
            look = BOLD if number == 0 else styles[number - 1] if column == STATE else ""
            last = column == shown[-1]
            line.append((row[column] if last else row[column].ljust(widths[column]) + GAP, look))
        made.append(line if width is None else cut(line, width))
    return made


def _fit(shown: list[str], rows: Sequence[Cells], prefix: int, width: int) -> tuple[list[str], Sequence[Cells]]:
    """The columns that fit, and the rows. The uuid is shortened first; where that takes too much of it, the name, which
    libvirt gives to one guest only, stays and the uuid goes."""
    longer = prefix > LONGEST_PREFIX
    short: Sequence[Cells] = [row if longer else {**row, UUID: row[UUID][:prefix]} for row in rows]
    steps: list[tuple[str, ...]] = [(), (), (SINCE,), (ANSWER,), (UUID if longer else NAME,), (CHECKS,)]
    kept = shown
    for number, leaving in enumerate(steps):
        kept, found = [it for it in kept if it not in leaving], short if number else rows
        left = width - _width(kept[:-1], found)
        if left >= min(ROOM, max([len(REPORTED), *(len(row[REPORTED]) for row in found)])):
            return kept, found
    return (kept if left >= LEAST else kept[:-1]), short


def _width(shown: Sequence[str], rows: Sequence[Cells]) -> int:
    """Columns that these take, with the gap behind each."""
    titles = {column: SHORTER.get(column, column) for column in shown}
    return sum(max(len(row[column]) for row in (titles, *rows)) + len(GAP) for column in shown)


def _alike(one: str, other: str) -> int:
    return next((number for number, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
