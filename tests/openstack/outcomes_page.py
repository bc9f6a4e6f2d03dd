"""docs/masakari-outcomes.rst: what a reader has to know of what tests/openstack/test_outcomes.py saw, and the table."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/masakari-outcomes.rst"
COLUMNS = ("situation", "statuses", "asked of Nova", "recovery_workflow_details")
HEAD = """\
What becomes of a notification
==============================

.. Made by make openstack ARGS=--write-pages, which compares otherwise.

What the engine of masakari 22.0.0 made of reports that our own code sent, with a stand-in for Nova that was put
into the situation; and what it shows of that. tests/openstack asserts it, but for defaults and what is said to follow
from them, which were read in its source.

``GET /notifications/NUMBER`` takes the role ``admin`` and the number that the answer to the POST has. After a repeated
POST, which is answered 409, only the list tells the number: ``GET /notifications``, with ``source_host_uuid=`` and
``generated-since=``, has, latest first, all that one GET has but the details.

``status``
    ``new`` until the engine takes it up; ``running``; then ``finished``, ``ignored`` or ``error``. ``error`` is not the
    end: there is one more attempt, within 120 s by default (``process_unfinished_notifications_interval``), after which
    it is ``finished`` or ``failed``. Statuses in the table are those in which the engine left it, in order.

``finished`` does not mean recovered
    Without ``HA_Enabled`` nothing is done, and the status is ``finished``. It was recovered if, besides, a
    ``ConfirmInstanceActiveTask`` is in state ``SUCCESS``.

``recovery_workflow_details``
    From microversion 1.1 on (header ``OpenStack-API-Version: instance-ha 1.1``). A list of tasks, of *all* attempts, in
    order. Each has ``name``, ``state`` (``RUNNING``, ``SUCCESS``, ``REVERTED``), ``progress`` (0.0 to 1.0) and
    ``progress_details``, a list of ``timestamp`` (UTC, ``2026-03-01 06:00:00.123456``), ``progress`` (a *string*) and
    ``message``. A task that has not begun is not there, nor is one that ended before it said anything, as if Nova does
    not know the guest. The table has the last message of each.

    The API asks the engine for them. Without an engine the answer is 500 after 60 s (``rpc_response_timeout``), with
    ``MessagingTimeout`` in its text, while microversion 1.0 shows the status at once.

``message``
    ``null`` but where the segment is not enabled.

``generated_time``
    Has its fraction of a second, but not together with the details.

``running`` for ever
    An engine that dies leaves what it was doing ``running``; the next one does not take it up. (After a day,
    ``notifications_expired_interval``, it is called ``failed``.) What was ``new`` is taken up once it is older than
    60 s (``retry_notification_new_status_interval``).

The engine asks nobody where the guest is by now, nor whether it still fails. It does one thing at a time for a host.
The times that it gives a guest to stop (180 s) and to start (60 s) were cut to 8 s here.
"""


def page(rows: Iterable[tuple[str, ...]]) -> str:
    """rows: cells, under COLUMNS."""
    table = "".join("".join(f"   {'*' if place == 0 else ' '} - {cell}\n" for place, cell in enumerate(cells))
                    for cells in [COLUMNS, *rows])
    text = f"{HEAD}\n.. list-table::\n   :header-rows: 1\n\n{table}"
    return "\n".join(line.rstrip() for line in text.split("\n"))
