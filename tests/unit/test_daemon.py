"""What the helper does about once a second, besides turning the loop."""

from __future__ import annotations

import logging
from unittest.mock import Mock

from heartbeat.daemon import Helper
from heartbeat.ledger import LedgerError
from heartbeat.manual import ALL, ManualHold

HOLD = ManualHold(1, ALL, "root", "updates", "2026-01-01T00:00:00+00:00", "2026-01-01T02:00:00+00:00")


def test_holds_by_hand_stay_in_force_while_the_ledger_cannot_be_read(caplog):
    helper = object.__new__(Helper)
    helper._owner, helper._ledger = Mock(), Mock()
    helper._owner.guests.manual = (HOLD,)
    helper._ledger.holds.side_effect = LedgerError("/var/lib/masakari-qga/ledger.sqlite", "disk full")
    with caplog.at_level(logging.WARNING):
        helper._read_holds()
    assert helper._owner.guests.manual == (HOLD,)
    assert "disk full" in caplog.text
