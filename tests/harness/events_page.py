"""docs/events.rst, made from the table of events: python3 -m tests.harness.events_page"""

from __future__ import annotations

from pathlib import Path

from heartbeat.happenings import EVENTS

PATH = Path(__file__).resolve().parents[2] / "docs/events.rst"
HEAD = """\
Events of libvirt, and what they cause
======================================

.. Made from heartbeat/happenings.py by python3 -m tests.harness.events_page; a test compares.

Every row is an option in section ``[events]`` of the configuration file, under the name that stands here::

    [events]
    watchdog.none = recover

``recover``
    An incident is recorded and reported, and Masakari stops and starts the guest, if it may: the guest has answered
    before, nothing holds, its budget is not used up.
``record``
    An incident is kept, shown and logged. Nobody acts on it.
``ignore``
    Nothing of this kind; what else is known of the guest is judged as always.

An event never causes more than its verdict does in ``[verdicts]``, if it stands there. A name that is not in the table
is refused when the configuration is read.

*Upstream* says whether Masakari's own instance monitor sends the event. Masakari's engine acts upon two of these only,
``lifecycle.stopped.failed`` and ``io-error.report``; ``io-error`` stands for both IO_ERROR and IO_ERROR_REASON.

.. list-table::
   :header-rows: 1

   * - Event
     - What it means
     - Verdict
     - Default
     - Upstream
"""


def page() -> str:
    rows = (
        f"   * - ``{it.name}``\n     - {it.reason}\n     - {it.verdict}\n     - {it.action}\n"
        f"     - {'yes' if it.upstream else 'no'}\n"
        for it in EVENTS
    )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
