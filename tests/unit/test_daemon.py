"""What the helper does about once a second, besides turning the loop."""

from __future__ import annotations

import logging
import os
from unittest.mock import Mock

import pytest

from heartbeat import configuration
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


def test_a_reload_without_what_the_agent_read_is_refused_by_a_helper_that_cannot_read_it_all(tmp_path, monkeypatch):
    """To go on with what is left, without Nova's name for the host, would send every report astray."""
    path = tmp_path / "masakari-qga.conf"
    path.write_text("")
    helper = object.__new__(Helper)
    helper._config = configuration.load(str(path))
    given = {"do": "reload", "parameters": {"interval": "5"}}
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(configuration.ConfigurationError, match=r"of another version than the helper.*restart"):
        helper._given(given)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert helper._given(given)[0]["watch.interval"] == 5


def test_a_reload_says_which_health_checks_it_changed_and_takes_them_at_once(tmp_path, caplog):
    path = tmp_path / "masakari-qga.conf"
    path.write_text("[check web]\nkind = exec\ncommand = /bin/old\n")
    helper = object.__new__(Helper)
    helper._config, helper._node = configuration.load(str(path)), "compute1"
    helper._owner, helper._reporting, helper._nova, helper._evidence, helper._metrics = (Mock() for _ in range(5))
    helper._owner.call = lambda function: function()
    path.write_text("[check web]\nkind = exec\ncommand = /bin/new\n[check queue]\nkind = file\npath = /run/queue\n")
    sent = configuration.packed(configuration.load(str(path)))
    with caplog.at_level(logging.INFO):
        answer = helper._reload({"do": "reload", "configuration": sent, "hostname": ["compute1", "host name"]})
    assert answer == {"changed": ["check web", "check queue"], "restart": []}
    assert "reloaded; changed: check web, check queue" in caplog.text
    (policy, _), _ = helper._owner.govern.call_args
    assert [check.name for check in policy.checks] == ["web", "queue"]
