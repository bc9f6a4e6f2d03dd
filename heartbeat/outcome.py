"""What becomes of a guest whose recovery was asked for. Pure: no I/O, no clock.

Two witnesses: the guest itself, whose next incarnation answers or does not, and Masakari, which says how far its engine
has come. What the invariants are:
- The guest's own word is final. Masakari's is believed where the guest is not here any more, or says nothing.
- Nothing is reported again that somebody may still act upon: the second stop would meet a guest that is well.
- Silence of Masakari's is no word of Masakari's.

All times are seconds since the epoch: what is followed outlives us, and a clock that is set while a recovery is under
way makes an outcome early or late, never a recovery too many.
"""

from __future__ import annotations

from typing import NamedTuple, Union

from heartbeat.incident import MISSING, UNEXPECTED, UNHEALTHY

RECOVERED = "recovered"  # another incarnation has answered, or Masakari says so of a guest that is elsewhere
ANSWERED = "answered again"  # the same one has, by itself
NOT_RECOVERED = "not recovered"
SKIPPED = "skipped (HA_Enabled)"
IGNORED = "ignored"

# Masakari's words, and ours for a notification of which it knows nothing.
NEW, RUNNING, ERROR, FINISHED, FAILED, LOST = "new", "running", "error", "finished", "failed", "unknown"
ENDED = frozenset({FINISHED, FAILED, IGNORED, LOST})
STATUSES = frozenset({NEW, RUNNING, ERROR, FINISHED, FAILED, IGNORED})
# What its engine did, as far as it matters.
CONFIRMED, STOPPED_IT, LEFT_IT = "confirmed", "stopped it", "left it alone"
DEEDS = frozenset({"", CONFIRMED, STOPPED_IT, LEFT_IT})

# Found by comparison with Nova, not by watching a guest: nobody can look whether it still is so and report it anew.
UNWATCHED = frozenset({MISSING, UNEXPECTED})

# Seconds. libvirt's word on a guest that has just been started comes later than Nova's.
SETTLED = 30.0
# After this Masakari itself gives a notification up, and nobody is helped by our knowing more.
LONGEST = 86400.0


class Word(NamedTuple):
    """What Masakari shows of a notification. status: "" as long as it has said nothing. said: its own words."""

    status: str = ""
    deed: str = ""
    said: str = ""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Followed(NamedTuple):
    """All that is known of one recovery that was asked for.

    incarnation: the one that failed. told: when somebody was asked. generated_time, reference: of the notification, ""
    if Masakari was not told; its number may be unknown all the same. closed: the incident is. newer: the guest has
    another one that is open. armed: its incarnation that is known to be well now, or "". answered: the one that has
    answered since, or "". changed: when the word came.
    outcome, why, decided: as it stands. human: somebody has to look at it. done: nothing more is to be learned.
    """

    incident: int
    uuid: str
    verdict: str
    incarnation: str
    told: float
    generated_time: str = ""
    reference: str = ""
    closed: bool = False
    newer: bool = False
    armed: str = ""
    answered: str = ""
    word: Word = Word()
    changed: float = 0.0
    outcome: str = ""
    why: str = ""
    decided: float | None = None
    human: bool = False
    done: bool = False


class Decided(NamedTuple):
    """The outcome is known, or another one than before."""

    outcome: str
    why: str


class Retry(NamedTuple):
    """Report the guest again, if it fails still. why: for people."""

    why: str


Effect = Union[Decided, Retry]


def judge(
    it: Followed, word: Word | None, here: bool | None, moved: float, now: float, deadline: float
) -> tuple[Followed, list[Effect]]:
    """word: what Masakari has just said, None if it did not. here: whether this node has the guest, running or not;
    None: that is not known now. moved: when Masakari last was seen to do anything for this host. deadline: seconds that
    a recovery may take from when its turn comes."""
    if word is not None and word != it.word:
        it = it._replace(word=word, changed=now)
    by_watch = it.verdict not in UNWATCHED
    here = here if by_watch else None  # that it is not here is what was wrong with it
    outcome, why = _outcome(it, here, now, due(it, moved, deadline))
    effects: list[Effect] = []
    if outcome and outcome != it.outcome:
        it = it._replace(outcome=outcome, why=why, decided=now)
        effects.append(Decided(outcome, why))
    if it.outcome != NOT_RECOVERED:
        return it._replace(human=False, done=bool(it.outcome)), effects
    if now >= it.told + LONGEST or (it.closed and it.newer):
        return it._replace(human=False, done=True), effects
    if it.closed:
        # It is down, or up and silent. One that went away by other hands than the engine's is nobody's trouble here.
        needed = it.human if here is None else here or it.word.deed == STOPPED_IT
        return it._replace(human=needed, done=here is False and not needed), effects
    over = by_watch and nobody_acts(it, now, deadline)
    if over and now >= it.told + deadline:
        effects.append(Retry(it.why))
    return it._replace(human=not over), effects


def told(outcome: str, status: str, human: bool) -> str:
    """How things stand, for people. The arguments are those of Followed, and of its word."""
    if not outcome:
        return f"awaited, Masakari says {status}" if status else "awaited"
    return f"{outcome}, needs a human" if human else outcome


def due(it: Followed, moved: float, deadline: float) -> float:
    """When something should have come of it: the engine recovers the guests of a host one after the other, so one that
    waits for its turn is late only if nothing moves."""
    if it.word.status == NEW:
        return max(it.told, it.changed, moved) + deadline
    heard = it.told if it.word.status in ("", LOST) else it.changed
    return max(it.told, heard) + deadline


def nobody_acts(it: Followed, now: float, deadline: float) -> bool:
    """Whether this notification will surely cause nothing any more. `new` is taken up by the next engine, `error` is
    tried once more; `running` is what an engine that died in the midst of it leaves for ever."""
    return it.word.ended or (it.word.status == RUNNING and now >= it.changed + 2 * deadline)


def _outcome(it: Followed, here: bool | None, now: float, overdue: float) -> tuple[str, str]:
    """The outcome as it looks now, or ""; and why, for people."""
    status, deed, said = it.word
    if it.answered and it.answered != it.incarnation:
        return RECOVERED, "it was started anew and answers"
    over = it.closed and not it.newer and it.armed == it.incarnation
    if it.verdict == UNHEALTHY and over:
        return ANSWERED, "it is unhealthy no longer, and was not started anew"
    if it.verdict != UNHEALTHY and (over or it.answered):
        return ANSWERED, "it answers again, and was not started anew"
    if status == FINISHED and deed == CONFIRMED and here is False and now >= it.changed + SETTLED:
        return RECOVERED, "Masakari says that it is active; it is not on this node any more"
    if deed == LEFT_IT:
        return SKIPPED, "Masakari leaves a guest alone whose metadata has no HA_Enabled=True"
    if status == IGNORED:
        return IGNORED, f"Masakari: {said}" if said else "Masakari ignores the notification"
    if status == FAILED and not it.outcome:
        return NOT_RECOVERED, f"Masakari has failed: {said}" if said else "Masakari has failed"
    # Of one that is elsewhere only Masakari can tell.
    late = now >= (overdue if here is not False else it.told + LONGEST)
    return (NOT_RECOVERED, _late(it)) if late and not it.outcome else ("", "")


def _late(it: Followed) -> str:
    if not it.generated_time:
        return "it has not answered in time"
    if it.word.status == FINISHED:
        return "Masakari has finished, but it has not answered in time"
    known = {"": "has not said anything", LOST: "does not know of it"}.get(it.word.status, f"says {it.word.status}")
    return f"nothing came of it in time; Masakari {known}"
