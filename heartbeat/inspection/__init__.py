"""`masakari-qga check`: all that must be right on a compute node after the installation, each with its remedy.

Begun by qga_ra.check as a process of its own, for which it is a list of steps that run side by side and are told in
this order, as far as each has come within its time. Whatever a step needs is imported in the step: a missing module is
something to be found, not a reason to find nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn

from heartbeat import settings
from heartbeat.configuration import Configuration, ConfigurationError, ParameterError, load
from heartbeat.hostname import Hostname, resolve
from heartbeat.inspection.finding import FAILED, NOTE, OK, Finding
from heartbeat.inspection.steps import Step, follow

RUNNING, ABSENT, STUCK = "running", "absent", "stuck"


class Helper(NamedTuple):
    """The helper of this node, as whoever began us sees it. state: RUNNING, ABSENT or STUCK. view: its answer to
    `status`, if it gave one; of another version's helper, maybe, so nothing in it is sure."""

    state: str
    view: Mapping[str, Any]

    def text(self, name: str) -> str:
        found = self.view.get(name)
        return found if isinstance(found, str) else ""


def inspect(path: str, parameters: Mapping[str, str], run_directory: str) -> NoReturn:
    """Looks at everything, and prints each finding as a line of JSON as soon as it is known. stdin: one line of JSON,
    {"state", "view", "send"}: see Helper; whether a notification may be sent. Ends the process with 0, whatever is
    found."""
    asked = json.loads(sys.stdin.readline())
    helper = Helper(str(asked["state"]), asked["view"] or {})
    follow(steps(path, parameters, run_directory, helper, bool(asked["send"])), _tell)
    os._exit(0)  # a thread that hangs in libvirt must not spoil the end


def steps(
    path: str, parameters: Mapping[str, str], run_directory: str, helper: Helper, send: bool
) -> list[Step]:
    from heartbeat.inspection import host

    always = [Step("modules", 20, host.modules), Step("run", 5, partial(host.run_directory, run_directory))]
    try:
        config = load(path, parameters)
    except (ConfigurationError, ParameterError) as error:
        remedy = "correct this first: what depends on the configuration has not been looked at"
        wrong = Finding(FAILED, "config", str(error), remedy, 2)
        return [*always[:1], Step("config", 5, lambda: iter([wrong])), *always[1:]]
    from heartbeat.inspection import cloud, cluster, compute, guests, metrics

    name = Hostname(helper.text("hostname"), "the helper") if helper.text("hostname") else resolve(config)
    uri = config.text("libvirt.connection_uri")
    uid, standing = host.user(config)
    obstacle = metrics.obstacle(config)
    return [
        *always[:1],
        Step("config", 5, partial(_configured, config)),
        Step("user", 5, lambda: standing),
        Step("state", 10, partial(host.state_directory, config.text("state.directory"), uid)),
        Step("evidence", 5, partial(host.consoles, config.text("evidence.console"))),
        *always[1:],
        Step("log", 5, partial(host.log, config.text("log.to"))),
        Step("metrics", 10, partial(metrics.look, config, helper.state == RUNNING, obstacle)),
        Step("rival", 5, host.rival),
        Step("libvirt", guests.SECONDS + 5, partial(guests.look, uri, helper.state, helper.view)),
        Step("name", 5, partial(_named, name)),
        *cloud.steps(config, name.name, send),
        Step("nova", compute.SECONDS + 5, partial(compute.look, config, name.name)),
        Step("cluster", cluster.SECONDS + 5, partial(cluster.look, helper.text("node"), config)),
    ]


def _configured(config: Configuration) -> list[Finding]:
    from heartbeat.inspection import host

    notes = [Finding(NOTE, "config", note) for note in config.notes]
    given = {name: config.origins[it.key] for name, it in settings.PARAMETERS.items()}
    own = [name for name, origin in given.items() if origin.startswith("parameter ")]
    if own:
        notes.append(Finding(NOTE, "config", f"as the resource sets them: {', '.join(own)}"))
    return [*host.file(config.path), *host.credentials(config), *notes]


def _named(name: Hostname) -> list[Finding]:
    return [Finding(OK, "name", f"reports name this host {settings.printable(name.name)[1:-1]}, from {name.origin}")]


def _tell(finding: Finding) -> None:
    sys.stdout.write(json.dumps(finding._asdict()) + "\n")
    sys.stdout.flush()
