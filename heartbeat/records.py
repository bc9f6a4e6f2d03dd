"""What the ledger keeps: its tables, the rows that it hands out, and how past incidents are read.

The history is read here and not in the ledger, because the operator's command reads it from the file itself where no
helper answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Union

from heartbeat.incident import RECOVER, Incident

SCHEMA_VERSION = 4
PENDING, DELIVERED, REFUSED, EXPIRED = "pending", "delivered", "refused", "expired"
# What a report says: that a guest has failed, or that this is over.
FAILED, CLEARED = "failed", "cleared"

_HOLD = """
CREATE TABLE hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, owner TEXT NOT NULL, reason TEXT NOT NULL,
    begun TEXT NOT NULL, until TEXT NOT NULL, UNIQUE (scope, owner));
"""
_DELIVERY = f"""
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL REFERENCES incident (id) ON DELETE CASCADE, backend TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '{FAILED}' CHECK (kind IN ('{FAILED}', '{CLEARED}')),
    acts INTEGER NOT NULL DEFAULT 1,       -- 1: the guest may be recovered because of it
    clears INTEGER NOT NULL DEFAULT 0,     -- 1: this backend is told as well when the incident is over
    status TEXT NOT NULL CHECK (status IN ('{PENDING}', '{DELIVERED}', '{REFUSED}', '{EXPIRED}')),
    generated_time TEXT NOT NULL,          -- what a resend must repeat exactly
    attempts INTEGER NOT NULL DEFAULT 0,
    sending INTEGER NOT NULL DEFAULT 0,    -- 1 from before an attempt until its result is known, also if we are killed
    uncertain INTEGER NOT NULL DEFAULT 0,  -- 1: an earlier attempt may have been accepted
    error TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', finished TEXT,
    UNIQUE (incident_id, backend, kind));
CREATE INDEX delivery_by_status ON delivery (backend, status);
"""
# What becomes of a recovery that was asked for. told_outcome is what was known of it when a report of the end was made
# out, which stays as it is.
_OUTCOME = """
CREATE TABLE outcome (
    incident_id INTEGER PRIMARY KEY REFERENCES incident (id) ON DELETE CASCADE, told TEXT NOT NULL,
    answered TEXT NOT NULL DEFAULT '',     -- the incarnation that has answered since, which no restart may forget
    status TEXT NOT NULL DEFAULT '', deed TEXT NOT NULL DEFAULT '', said TEXT NOT NULL DEFAULT '',
    changed TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '', decided TEXT,
    human INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0);
CREATE INDEX outcome_followed ON outcome (incident_id) WHERE NOT done;
ALTER TABLE delivery ADD COLUMN told_outcome TEXT NOT NULL DEFAULT '';
"""
SCHEMA = f"""
CREATE TABLE armed (uuid TEXT PRIMARY KEY, incarnation TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that an old number in a log stays unambiguous
    uuid TEXT NOT NULL, name TEXT NOT NULL, incarnation TEXT NOT NULL, verdict TEXT NOT NULL, action TEXT NOT NULL,
    opened TEXT NOT NULL, evidence TEXT NOT NULL, closed_at TEXT, closed_why TEXT);
CREATE UNIQUE INDEX incident_open ON incident (uuid, verdict, incarnation) WHERE closed_at IS NULL;
CREATE INDEX incident_of_guest ON incident (uuid);
{_DELIVERY}{_HOLD}{_OUTCOME}"""
_KEPT = "id, incident_id, backend, status, generated_time, attempts, sending, uncertain, error, reference, finished"
# From this version to the next. SQLite cannot change what is unique in a table: it is made anew, and all rows copied.
MIGRATIONS = {
    1: _HOLD,
    2: f"""DROP INDEX delivery_by_status; ALTER TABLE delivery RENAME TO delivery_2; {_DELIVERY}
        INSERT INTO delivery ({_KEPT}) SELECT {_KEPT} FROM delivery_2; DROP TABLE delivery_2;""",
    3: f"""{_OUTCOME} INSERT INTO outcome (incident_id, told, changed) SELECT incident_id, finished, finished
        FROM delivery JOIN incident ON incident.id = incident_id WHERE closed_at IS NULL AND action = '{RECOVER}'
        AND acts AND kind = '{FAILED}' AND status = '{DELIVERED}' GROUP BY incident_id;""",
}

INCIDENT = ", ".join(f"incident.{column}" for column in Incident._fields)
# Of a delivery that was accepted, or may have been.
MAY_HAVE_ARRIVED = f"(status = '{DELIVERED}' OR uncertain OR sending)"
# The same, of one because of which somebody may be power-cycling the guest.
MAY_BE_ACTED_ON = f"(acts AND {MAY_HAVE_ARRIVED})"


class Recipient(NamedTuple):
    """A backend that is to be told of an incident. acts: it may recover the guest. clears: it is told as well when the
    incident is over."""

    name: str
    acts: bool = True
    clears: bool = False


# A bare name is one that may recover and knows no clearing, as Masakari.
Recipients = Mapping[str, Sequence[Union[str, Recipient]]]


class Delivery(NamedTuple):
    """A report that one backend still owes. error: why the last attempt failed, or "".

    kind: FAILED or CLEARED. closed, why: when and why the incident was closed, which is what a CLEARED one tells;
    outcome: of its recovery, if that was known then.
    """

    id: int
    incident: Incident
    generated_time: str
    attempts: int
    error: str
    kind: str = FAILED
    closed: str = ""
    why: str = ""
    outcome: str = ""

    @property
    def called(self) -> str:
        """What it is called in the log."""
        over = "the end of " if self.kind == CLEARED else ""
        return f"{over}incident {self.incident.id} ({self.incident.verdict}, guest {self.incident.uuid})"


class Attempt(NamedTuple):
    """An attempt that is about to be made, already on disk.

    uncertain: an earlier attempt with this very generated_time may have been accepted.
    previous: the latest generated_time of any other report with this action about this guest that may have been
    accepted, or "".
    """

    number: int
    generated_time: str
    uncertain: bool
    previous: str


class Fate(NamedTuple):
    """What has become of an incident's report to one backend. finished: UTC in ISO 8601, None while it is pending.
    kind: FAILED or CLEARED."""

    backend: str
    status: str
    attempts: int
    error: str
    reference: str
    finished: str | None
    kind: str = FAILED


class Fruit(NamedTuple):
    """What has become of a recovery that was asked for. outcome: "" as long as it is not known. decided: UTC in ISO
    8601. status: Masakari's last word. human: somebody has to look at it."""

    outcome: str
    why: str
    decided: str | None
    status: str
    human: bool


class Past(NamedTuple):
    """An incident as it is listed. closed: UTC in ISO 8601, None while it is open. fruit: None if no recovery was asked
    for."""

    incident: Incident
    closed: str | None
    why: str
    fates: tuple[Fate, ...]
    fruit: Fruit | None = None


def history(rows: Callable[..., list[Any]], limit: int, guest: str | None = None) -> list[Past]:
    """The newest `limit` incidents, newest first.

    rows: runs one SELECT with its values. guest: only those of this guest: its uuid, the first four or more characters
    of it, or its domain name.
    """
    where = ""
    if guest is not None:
        where = " WHERE uuid = ?1 OR name = ?1 OR (length(?1) > 3 AND substr(uuid, 1, length(?1)) = lower(?1))"
    found = rows(
        f"SELECT {INCIDENT}, closed_at, closed_why FROM incident{where} ORDER BY id DESC LIMIT {int(limit)}",
        *([] if guest is None else [guest]),
    )
    return [_past(rows, row) for row in found]


def one(rows: Callable[..., list[Any]], incident: int) -> list[Past]:
    """The incident with this number, or none. rows: as above."""
    found = rows(f"SELECT {INCIDENT}, closed_at, closed_why FROM incident WHERE id = ?", incident)
    return [_past(rows, row) for row in found]


def _past(rows: Callable[..., list[Any]], row: Any) -> Past:
    return Past(Incident(*row[:-2]), row[-2], row[-1] or "", fates(rows, row[0]), fruit(rows, row[0]))


def fates(rows: Callable[..., list[Any]], incident: int) -> tuple[Fate, ...]:
    """What has become of one incident's reports. rows: runs one SELECT with its values."""
    # The operator's command may read a file that an older helper has left.
    kinds = rows("SELECT 1 FROM pragma_table_info('delivery') WHERE name = 'kind'")
    columns = ", ".join(Fate._fields if kinds else Fate._fields[:-1])
    found = rows(f"SELECT {columns} FROM delivery WHERE incident_id = ? ORDER BY id", incident)
    return tuple(Fate(*row) for row in found)


def fruit(rows: Callable[..., list[Any]], incident: int) -> Fruit | None:
    """What has become of one incident's recovery. rows: as above."""
    if not rows("SELECT 1 FROM sqlite_master WHERE name = 'outcome'"):  # an older helper's file
        return None
    found = rows("SELECT outcome, why, decided, status, human FROM outcome WHERE incident_id = ?", incident)
    if not found:
        return None
    outcome, why, decided, status, human = found[0]
    return Fruit(outcome, why, decided, status, bool(human))


def listed(past: Past) -> dict[str, Any]:
    """A past incident as JSON, the way the operator's command reads it."""
    words = ("id", "uuid", "name", "verdict", "action", "opened", "evidence")
    return {
        **{word: getattr(past.incident, word) for word in words},
        "closed": past.closed,
        "why": past.why,
        "deliveries": [fate._asdict() for fate in past.fates],
        "recovery": past.fruit and past.fruit._asdict(),
    }


def bounded(text: str, limit: int) -> str:
    """A text that SQLite takes and nobody has to scroll through."""
    # A lone surrogate, which a strange domain name could bring, has no UTF-8.
    return text[:limit].encode("utf-8", "replace").decode("utf-8")
