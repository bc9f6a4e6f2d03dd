"""libvirt's events: what stands in the table, against libvirt itself, the monitor that is replaced, and the docs."""

from __future__ import annotations

import pytest

from heartbeat import incident, settings
from heartbeat.happenings import ACTIONS, BY_NAME, EVENTS, IGNORE, RECORD, RECOVER
from tests.harness.events_page import PATH, page

# What masakari-monitors' instance monitor sends, as (event, VIR_DOMAIN_EVENT detail) of its notification.
UPSTREAM = {
    "LIFECYCLE": (
        *("SUSPENDED_IOERROR", "SUSPENDED_WATCHDOG", "SUSPENDED_API_ERROR"),
        *("STOPPED_SHUTDOWN", "STOPPED_DESTROYED", "STOPPED_FAILED", "SHUTDOWN_FINISHED"),
    ),
    "REBOOT": ("UNKNOWN",),
    "WATCHDOG": tuple(f"WATCHDOG_{it}" for it in ("NONE", "PAUSE", "RESET", "POWEROFF", "SHUTDOWN", "DEBUG")),
    "IO_ERROR": ("IO_ERROR_NONE", "IO_ERROR_PAUSE", "IO_ERROR_REPORT"),
    "CONTROL_ERROR": ("UNKNOWN",),
}  # and IO_ERROR_REASON/UNKNOWN, which comes with each IO_ERROR

# Per class and type of our names, the constants of libvirt's that are its details.
CONSTANTS = {
    "lifecycle.suspended": "SUSPENDED",
    "lifecycle.stopped": "STOPPED",
    "lifecycle.shutdown": "SHUTDOWN",
    "lifecycle.pmsuspended": "PMSUSPENDED",
    "lifecycle.crashed": "CRASHED",
    "watchdog": "WATCHDOG",
    "io-error": "IO_ERROR",
    "memory-failure": "MEMORY_FAILURE_ACTION",
}


def ours(event: str, detail: str) -> str:
    word = event.lower().replace("_", "-")
    if detail == "UNKNOWN":
        return word
    kind, _, rest = detail.partition("_")
    if event == "LIFECYCLE":
        return f"{word}.{kind.lower()}.{rest.lower().replace('_', '-')}"
    return f"{word}.{detail[len(event) + 1 :].lower()}"


def test_whatever_the_replaced_monitor_sends_stands_in_the_table_and_is_marked():
    sent = {ours(event, detail) for event, details in UPSTREAM.items() for detail in details}
    assert {it.name for it in EVENTS if it.upstream} == sent


def test_the_table_has_libvirts_own_words_for_every_detail_of_its_events():
    libvirt = pytest.importorskip("libvirt")
    words = set()
    for name, prefix in CONSTANTS.items():
        prefix = f"VIR_DOMAIN_EVENT_{prefix}_"
        details = [word[len(prefix) :] for word in dir(libvirt) if word.startswith(prefix)]
        words |= {f"{name}.{detail.lower().replace('_', '-')}" for detail in details}
    assert set(BY_NAME) - words == {"reboot", "control-error"}
    assert words <= set(BY_NAME)


def test_only_a_certain_death_is_recovered_unasked():
    assert {it.name: it.verdict for it in EVENTS if it.action == RECOVER} == {
        "lifecycle.stopped.failed": incident.QEMU_DIED,
        "lifecycle.stopped.crashed": incident.QEMU_DIED,
        "lifecycle.crashed.panicked": incident.PANICKED,
    }
    assert ACTIONS == (incident.RECOVER, incident.RECORD, incident.IGNORE)


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (IGNORE, ("reboot", "lifecycle.stopped.shutdown", "lifecycle.stopped.destroyed", "lifecycle.stopped.saved")),
        (IGNORE, ("lifecycle.stopped.migrated", "lifecycle.suspended.paused", "lifecycle.pmsuspended.memory")),
        (RECORD, ("watchdog.reset", "lifecycle.crashed.crashloaded", "io-error.report", "memory-failure.inject")),
    ],
)
def test_what_is_normal_is_ignored_and_what_is_remedied_already_is_recorded_at_most(action, names):
    assert {BY_NAME[name].action for name in names} == {action}


def test_an_events_reason_is_one_short_line():
    assert all(it.reason.endswith(".") and len(it.reason) <= 114 for it in EVENTS)
    assert len(BY_NAME) == len(EVENTS)


def test_every_event_and_every_verdict_is_an_option_that_a_running_helper_takes():
    for section, defaults in (
        ("events", {it.name: it.action for it in EVENTS}),
        ("verdicts", incident.ACTIONS),
    ):
        found = {option.name: option for option in settings.OPTIONS if option.section == section}
        assert {name: option.default for name, option in found.items()} == defaults
        assert all(option.reloadable for option in found.values())
        assert all((option.choices == ACTIONS) is (name not in incident.UNPROVEN) for name, option in found.items())


@pytest.mark.parametrize("verdict", sorted(incident.UNPROVEN))
def test_nobody_can_ask_for_a_recovery_where_nothing_speaks_against_the_guest(verdict):
    option = settings.BY_KEY[f"verdicts.{verdict}"]
    with pytest.raises(settings.BadValue, match="give one of: record, ignore"):
        option.parse(RECOVER)


def test_a_row_of_the_example_file_is_its_reason_and_itself():
    lines = settings.example().splitlines()
    for it in EVENTS:
        at = lines.index(f"#{it.name} = {it.action}")
        assert lines[at - 1] == f"# {it.reason}"


def test_the_page_on_events_is_the_table():
    assert PATH.read_text(encoding="utf-8") == page(), "make it again: python3 -m tests.harness.events_page"
