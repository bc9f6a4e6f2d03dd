"""The ledger's side of outcomes: which recoveries are followed, and what has been learned of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from heartbeat.database import Database
from heartbeat.incident import UNHEALTHY
from heartbeat.outcome import Followed, Word
from heartbeat.records import FAILED, MAY_HAVE_ARRIVED, bounded

BACKEND = "masakari"  # the only one that can be asked how far it has come
# More than the guests of one node that fail in a day.
LIMIT = 1000
_COLUMNS = ("told", "answered", "status", "deed", "said", "changed", "outcome", "why", "decided", "human", "done")
# A guest that is unhealthy answers: no word on how the recovery of one that did not has ended.
_QUERY = f"""SELECT incident.id, uuid, verdict, incarnation, closed_at IS NOT NULL,
    EXISTS (SELECT 1 FROM incident AS other WHERE other.uuid = incident.uuid AND other.id > incident.id
            AND other.closed_at IS NULL AND (other.verdict != '{UNHEALTHY}' OR incident.verdict = other.verdict)),
    coalesce((SELECT incarnation FROM armed WHERE armed.uuid = incident.uuid), ''),
    coalesce(delivery.generated_time, ''), coalesce(delivery.reference, ''),
    {', '.join(f'outcome.{name}' for name in _COLUMNS)}
    FROM outcome JOIN incident ON incident.id = outcome.incident_id LEFT JOIN delivery ON delivery.incident_id =
    incident.id AND delivery.backend = '{BACKEND}' AND delivery.kind = '{FAILED}' AND {MAY_HAVE_ARRIVED.replace(
        'status', 'delivery.status')} WHERE NOT outcome.done ORDER BY incident.id LIMIT {LIMIT}"""


class Outcomes:
    """Those in a ledger's database. Every method raises LedgerError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def followed(self) -> list[Followed]:
        """The recoveries of which something is still to be learned, oldest first."""
        return [_followed(row) for row in self._database.rows(_QUERY)]

    def learned(self, it: Followed) -> None:
        """What is known of it now. What the guest has said meanwhile is not overwritten."""
        word, decided = it.word, None if it.decided is None else _text(it.decided)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE outcome SET status = ?, deed = ?, said = ?, changed = ?, outcome = ?, why = ?, decided = ?,"
                " human = ?, done = ? WHERE incident_id = ?",
                (word.status, word.deed, bounded(word.said, 200), _text(it.changed), it.outcome, bounded(it.why, 300),
                 decided, it.human, it.done, it.incident),
            )  # fmt: skip

    def needing(self) -> list[str]:
        """The uuids of guests whose recovery came to nothing, so that a human has to look at them."""
        return [uuid for uuid, in self._database.rows(
            "SELECT DISTINCT uuid FROM outcome JOIN incident ON incident.id = incident_id WHERE NOT done AND human"
            " ORDER BY uuid"
        )]  # fmt: skip


def _followed(row: Sequence[Any]) -> Followed:
    number, uuid, verdict, incarnation, closed, newer, armed, generated, reference, *known = row
    told, answered, status, deed, said, changed, outcome, why, decided, human, done = known
    return Followed(
        number, uuid, verdict, incarnation, _seconds(told), generated, reference, bool(closed), bool(newer), armed,
        answered, Word(status, deed, said), _seconds(changed), outcome, why,
        None if decided is None else _seconds(decided), bool(human), bool(done),
    )  # fmt: skip


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds")
