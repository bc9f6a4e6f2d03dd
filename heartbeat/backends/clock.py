"""How far this host's clock is from others', by the Date of their answers. Pure: all times are passed in."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from heartbeat.inspection.finding import OK, WARNING, Finding

STEP = "clock"
# Seconds. Masakari compares times of reports over 180 s, and a token's end is by Keystone's clock.
BEARABLE = 60.0


class Clocks:
    """What has been seen; of several answers of one service the one that says most."""

    def __init__(self) -> None:
        self._skews: dict[str, float] = {}

    def note(self, who: str, date: str | None, begun: float, ended: float) -> None:
        """begun, ended: when by our clock, in seconds, the request was made and its answer came."""
        found = skew(date, begun, ended)
        if found is not None:
            self._skews[who] = min(found, self._skews.get(who, found), key=abs)

    def judged(self) -> Iterator[Finding]:
        for who, seconds in self._skews.items():
            if abs(seconds) <= BEARABLE:
                yield Finding(OK, STEP, f"this host's clock and {who}'s differ by {abs(seconds):.0f} s")
                continue
            text = f"this host's clock is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} {who}'s"
            remedy = "set the wrong one (chronyc tracking): times of reports and ends of tokens are compared"
            yield Finding(WARNING, STEP, text, remedy)


def skew(date: str | None, begun: float, ended: float) -> float | None:
    """Seconds that another's clock is ahead of ours, and 0 if it may be right: a Date has no fractions, and was made
    some time between our question and its answer. None: it says nothing."""
    if not date:
        return None
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    if theirs + 1 < begun:
        return theirs + 1 - begun
    return max(0.0, theirs - ended)
