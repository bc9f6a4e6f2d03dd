"""A drill: something is done to a guest, and what the helper makes of it is held against what it should."""
from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from tests.harness.wait import Overdue, until
from tests.harness.ward import Ward

NOTHING = "nothing"


class Row(NamedTuple):
    """seconds: from the beginning to the report, or the verdict where nothing is to be reported. watched: there was
    none, and it was watched for so long."""

    drill: str
    expected: str
    got: str
    seconds: float
    watched: bool = False


class Outcome(NamedTuple):
    """What became of a guest, in words, and when the first report or verdict came (seconds since 1970)."""

    text: str
    at: float | None


class Drills:
    """Those of one ward. rows: where the results go."""

    def __init__(self, ward: Ward, rows: list[Row]) -> None:
        self.ward, self._rows = ward, rows
        self._begun: dict[str, float] = {}

    def strike(self, part: str, *ways: Callable[[], object]) -> None:
        """What is to be suffered; the drill begins with it."""
        self._begun[part] = time.time()
        for way in ways:
            way()

    def outcome(self, part: str) -> Outcome:
        """Every incident of the guest since the drill began."""
        found = self.ward.ledger(
            "SELECT verdict, action, opened, coalesce(status, ''), finished FROM incident"
            " LEFT JOIN delivery ON incident_id = incident.id WHERE uuid = ? ORDER BY incident.id",
            self.ward[part].uuid)
        begun = self._begun[part]
        rows = [row for row in found if seconds(row[2]) >= begun]
        texts = [f"{row[0]} {_FATES.get(row[3] or row[1], row[3] or row[1])}" for row in rows]
        at = [seconds(row[4] if row[3] == "delivered" else row[2]) for row in rows]
        # What the ledger calls delivered somebody must have got, and nobody may have got more.
        came = sum(attempt.stored for attempt in self.ward.attempts(part) if self._since(attempt.at) >= begun)
        if came != sum(row[3] == "delivered" for row in rows):
            texts.append(f"{came} reports")
        return Outcome("; ".join(texts) or NOTHING, min(at, default=None))

    def check(self, name: str, parts: str | Sequence[str], expected: str, state: str = "", within: float = 0.0) -> None:
        """Record what has become of one guest or several, and raise AssertionError if that is something else.

        expected: of several, "15 hung reported". state: in which all are to be now. within: seconds to wait for both;
        that nothing happens to a guest has to be waited for by the caller.
        """
        parts = (parts,) if isinstance(parts, str) else parts

        def look() -> tuple[str, float | None]:
            found = [self.outcome(part) for part in parts]
            texts = Counter(outcome.text for outcome in found if outcome.text != NOTHING)
            text = "; ".join(text if len(parts) == 1 else f"{number} {text}" for text, number in texts.items())
            others = Counter(self.ward.state(part) for part in parts) if state else Counter()
            del others[state]
            return "; ".join([text or NOTHING, *others]), max((it.at for it in found if it.at), default=None)
        with contextlib.suppress(Overdue):
            until(lambda: look()[0] == expected, name, within, 0.5)
        got, at = look()
        begun = min(self._begun[part] for part in parts)
        self.record(name, expected, got, (at or time.time()) - begun, at is None)

    def record(self, name: str, expected: str, got: str, seconds: float, watched: bool = False) -> None:
        self._rows.append(Row(name, expected, got, seconds, watched))
        assert got == expected, f"{name}: expected {expected}, got {got}"

    @staticmethod
    def _since(monotonic: float) -> float:
        return time.time() - time.monotonic() + monotonic


_FATES = {"delivered": "reported", "record": "recorded", "pending": "not reported yet", "expired": "called off"}


def seconds(moment: str) -> float:
    """A moment in ISO 8601 as seconds since 1970."""
    found = datetime.fromisoformat(moment)
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def table(rows: list[Row]) -> list[str]:
    """The result of a run, line by line. Seconds in brackets are those for which nothing came of it."""
    cells = [("drill", "expected", "got", "seconds")]
    for row in rows:
        length = f"({row.seconds:.0f})" if row.watched else f"{row.seconds:.1f}"
        cells.append((row.drill, row.expected, row.got, length))
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
