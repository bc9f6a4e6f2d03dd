"""This host's name among Masakari's, and this host's clock beside others': what is said of each case."""

from __future__ import annotations

import pytest

from heartbeat.backends.clock import Clocks, skew
from heartbeat.backends.register import Entry, entries, judged, near

SEGMENT = {"name": "rack\x1b[2J1", "uuid": "s-uuid"}
HOST = {"name": "compute1", "uuid": "h-uuid", "on_maintenance": False, "reserved": False}
DATE = "Fri, 20 Nov 2026 05:00:00 GMT"
MORNING = 1795150800.0  # the same


def said(*hosts: dict, segment: dict = SEGMENT, name: str = "compute1", complete: bool = True):
    return list(judged(name, entries(segment, hosts), complete, "report.hostname"))


def test_a_known_host_is_well_and_its_segment_named():
    (found,) = said({**HOST, "name": "compute2"}, HOST)
    assert (found.level, found.text) == ("ok", "Masakari knows host compute1, in segment 'rack\\x1b[2J1'")


def test_maintenance_is_a_failure_with_the_very_command_that_ends_it():
    (found,) = said({**HOST, "on_maintenance": True})
    assert (found.level, found.code) == ("failed", 1)
    assert "Masakari refuses every report of it" in found.text
    assert found.remedy.endswith("openstack segment host update s-uuid h-uuid --on_maintenance False")


def test_a_reserved_host_is_a_warning():
    (found,) = said({**HOST, "reserved": True})
    assert (found.level, found.remedy) == (
        "warning", "openstack segment host update s-uuid h-uuid --reserved False, unless that is meant",
    )  # fmt: skip


def test_a_segment_that_is_not_enabled_takes_reports_and_ignores_them():
    (found,) = said(HOST, segment={**SEGMENT, "enabled": False})
    assert found.level == "failed"
    assert found.remedy == "openstack segment update s-uuid --is_enabled True, with API version 1.2"
    assert said(HOST, segment={**SEGMENT, "enabled": True})[0].level == "ok"


def test_a_host_in_two_segments_is_told():
    assert [it.level for it in said(HOST, {**HOST, "uuid": "other"})] == ["ok", "ok", "warning"]


@pytest.mark.parametrize(("name", "other"), [
    ("compute1", "compute1.example.com"), ("compute1.example.com", "compute1"), ("Compute1", "compute1"),
    ("compute1.a.example", "compute1.b.example"), ("compute-01", "compute-O1"),
])  # fmt: skip
def test_a_name_that_is_nearly_one_of_masakaris_is_named(name, other):
    found = said({**HOST, "name": other}, {**HOST, "name": "storage9"}, name=name)
    assert len(found) == 1
    assert found[0].level == "failed"
    assert f"none of Masakari's 2 hosts is called {name}; one is called '{other}'" == found[0].text
    assert "correct report.hostname" in found[0].remedy


def test_an_unknown_name_that_is_like_no_other_is_to_be_registered():
    (found,) = said({**HOST, "name": "storage9"})
    assert "one is called" not in found.text
    assert found.remedy.startswith("openstack segment host create compute1 COMPUTE SSH ")


def test_a_masakari_without_hosts_needs_a_segment_first():
    assert said()[0].remedy.startswith("openstack segment create ")


def test_what_was_not_read_in_time_is_no_proof_of_absence():
    assert said({**HOST, "name": "compute1.example.com"}, complete=False)[0].level == "warning"


def test_of_several_near_names_the_nearest_is_given():
    assert near("Compute1", ["compute1.example.com", "compute1", "compute2"]) == "compute1"
    assert near("compute1", []) == ""


def test_what_is_no_host_is_passed_over():
    assert list(entries(SEGMENT, [None, 5, {}, {"name": None}, {"name": "x"}])) \
        == [Entry("x", SEGMENT["name"], "s-uuid", "", False, False, True)]  # fmt: skip


@pytest.mark.parametrize(("begun", "ended", "seconds"), [
    (MORNING, MORNING, 0), (MORNING - 5, MORNING + 5, 0), (MORNING + 0.9, MORNING + 0.95, 0),
    (MORNING - 100, MORNING - 90, 90), (MORNING + 101, MORNING + 102, -100),
])  # fmt: skip
def test_a_clock_is_only_wrong_by_what_cannot_be_the_ways_time(begun, ended, seconds):
    assert skew(DATE, begun, ended) == pytest.approx(seconds)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 99 Nov 2026 05:00:00 GMT", "9" * 400])
def test_a_date_that_is_none_says_nothing(date):
    assert skew(date, 0, 0) is None


def test_a_clock_that_is_a_minute_off_is_a_warning_that_says_which_way():
    clocks = Clocks()
    clocks.note("Keystone", DATE, MORNING - 61, MORNING - 61)
    clocks.note("Masakari", DATE, MORNING + 3601, MORNING + 3601)
    clocks.note("Masakari", None, 0, 0)
    assert [(it.level, it.text) for it in clocks.judged()] == [
        ("warning", "this host's clock is 61 s behind Keystone's"),
        ("warning", "this host's clock is 3600 s ahead of Masakari's"),
    ]


def test_of_several_answers_the_one_that_took_least_of_the_way_counts():
    clocks = Clocks()
    clocks.note("Keystone", DATE, MORNING - 30, MORNING - 30)
    clocks.note("Keystone", DATE, MORNING - 20, MORNING)
    assert [(it.level, it.text) for it in clocks.judged()] == [
        ("ok", "this host's clock and Keystone's differ by 0 s")
    ]
