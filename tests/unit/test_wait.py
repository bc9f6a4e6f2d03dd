"""Waiting in tests: a condition that does not come is named."""
from __future__ import annotations

import pytest

from tests.harness.wait import Overdue, until


def test_what_came_true_is_returned():
    values = iter([None, "", "ready"])
    assert until(lambda: next(values), "readiness", every=0) == "ready"


def test_what_never_comes_is_named_with_what_was_seen_last():
    with pytest.raises(Overdue, match=r"waited 0 s for the moon; last seen: 0"):
        until(lambda: 0, "the moon", seconds=0)


def test_an_expected_exception_means_not_yet_and_is_shown_at_the_end():
    with pytest.raises(Overdue, match="ConnectionRefusedError"):
        until(lambda: (_ for _ in ()).throw(ConnectionRefusedError()), "a door", seconds=0, despite=(OSError,))


def test_any_other_exception_ends_the_waiting():
    with pytest.raises(ZeroDivisionError):
        until(lambda: 1 / 0, "infinity", despite=(OSError,))
