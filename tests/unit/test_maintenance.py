"""That a hold of the cluster's is noticed, and its end, though nothing is being reported."""

from __future__ import annotations

import threading

from heartbeat.maintenance import Maintenance


def test_the_cluster_is_asked_only_while_somebody_depends_on_its_word():
    asked, wanted = [], [False]
    maintenance = Maintenance(lambda: wanted[0], lambda: asked.append(1))
    maintenance.step()
    assert asked == []
    wanted[0] = True
    maintenance.step()
    assert asked == [1]


def test_a_failure_of_ours_does_not_end_the_asking(caplog):
    def fail() -> None:
        raise ValueError("a bug")

    Maintenance(lambda: True, fail).step()
    assert "could not be asked" in caplog.text


def test_it_is_asked_again_and_again_until_it_is_stopped(monkeypatch):
    monkeypatch.setattr("heartbeat.maintenance.EVERY", 0.001)
    enough, asked = threading.Event(), []

    def refresh() -> None:
        asked.append(1)
        if len(asked) == 3:
            enough.set()

    maintenance = Maintenance(lambda: True, refresh)
    maintenance.start()
    assert enough.wait(30)
    maintenance.stop()
