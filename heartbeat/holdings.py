"""The ledger's holds by hand: they outlast us and the host, and end by themselves."""

from __future__ import annotations

from heartbeat.database import Database
from heartbeat.manual import ManualHold, rebased
from heartbeat.records import bounded


class Holdings:
    """The holds in a ledger's database. All times are UTC in ISO 8601, of the same form as everywhere in the ledger.
    Every method raises LedgerError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, scope: str, owner: str, reason: str, now: str, until: str) -> int:
        """Hold a guest, or manual.ALL. Replaces what the same owner holds there already. Returns its id."""
        values = (bounded(scope, 36), bounded(owner, 64), bounded(reason, 200), now, until)
        with self._database.transaction() as connection:
            number = connection.execute("INSERT OR REPLACE INTO hold VALUES (NULL, ?, ?, ?, ?, ?)", values).lastrowid
        assert number is not None
        return number

    def release(self, scope: str) -> int:
        """End all holds of this scope. Returns how many there were."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM hold WHERE scope = ?", (scope,)).rowcount

    def holds(self, now: str) -> list[ManualHold]:
        """Those that have not ended, in the order in which they were made; the others leave the ledger."""
        known = [ManualHold(*row) for row in self._database.rows("SELECT * FROM hold ORDER BY id")]
        current = [hold for hold in (rebased(hold, now) for hold in known) if now < hold.until]
        if current != known:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM hold WHERE begun <= ? AND until <= ?", (now, now))
                connection.executemany(
                    "UPDATE hold SET begun = ?, until = ? WHERE id = ?",
                    [(hold.begun, hold.until, hold.id) for hold in current],
                )
        return current
