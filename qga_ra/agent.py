"""The actions of ocf:masakari:qga, one function each, and the table that dispatches them.

Monitor comes here only by way of that table: the script that Pacemaker executes answers it without importing this.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

from qga_ra import attributes, client, supervision
from qga_ra.errors import GENERIC, NOT_RUNNING, PERMISSION, PREFIX, SUCCESS, UNIMPLEMENTED, Failure
from qga_ra.parameters import Invocation, invocation, validate
from qga_ra.supervision import Places

CLEARING = 10.0  # s for attrd_updater, which takes some ms where there is a cluster to talk to


def start(given: Invocation, places: Places) -> int:
    """Returns once the helper runs with these parameters and a monitor would say so."""
    validate(given)
    os.makedirs(places.run, 0o700, exist_ok=True)
    with supervision.exclusive(f"{places.run}/agent.lock", given.until(0.5)):
        code, why = client.state(places.run, _patience(given))
        if code == SUCCESS:  # it survived Pacemaker, or the package was upgraded around it
            warn(why, *_reloaded(given, places))
            return SUCCESS
        if code != NOT_RUNNING:
            warn(why)
        supervision.stop(places, given.until(0.5), given.until(0.75))
        supervision.launch(places, given)
        code, why = client.state(places.run, _patience(given))
        if code != SUCCESS:
            raise Failure(GENERIC, f"the helper got ready and then did not answer: {why or 'it is gone'}")
    return SUCCESS


def stop(given: Invocation, places: Places) -> int:
    """Leaves nothing behind. A failure here costs a whole node with all its guests, so next to nothing is one."""
    with contextlib.ExitStack() as stack:
        if os.path.isdir(places.run):
            try:
                stack.enter_context(supervision.exclusive(f"{places.run}/agent.lock", given.until(0.3)))
            except (Failure, OSError) as error:
                warn(f"{error}; stopping nevertheless")
        supervision.stop(places, given.until(2 / 3), given.until(0.9))
        try:
            os.unlink(places.socket)
        except FileNotFoundError:
            pass
        except OSError as error:
            warn(f"{places.socket} is left behind: {error.strerror}")
        warn(*attributes.clear(given.node, min(given.end, time.monotonic() + CLEARING)))
    return SUCCESS


def monitor(given: Invocation, places: Places) -> int:
    """0: alive and making progress. 7: surely not there. 1: anything between."""
    code, why = client.state(places.run)
    if code == GENERIC:
        raise Failure(code, why)
    warn(why)
    return code


def reload_agent(given: Invocation, places: Places) -> int:
    """Passes changed parameters to the running helper, which keeps all that it knows about the guests."""
    validate(given)
    if client.state(places.run, _patience(given))[0] == NOT_RUNNING:
        raise Failure(NOT_RUNNING, "the helper does not run; start the resource")
    with supervision.exclusive(f"{places.run}/agent.lock", given.until(0.5)):
        troubles = _reloaded(given, places)
    if troubles:
        raise Failure(GENERIC, troubles[0])
    return SUCCESS


def validate_all(given: Invocation, places: Places) -> int:
    """Level 0, and no level at all: only the parameters, since this may be a controller or not even a node. From level
    10 on the helper looks at this host too."""
    validate(given)
    if given.level < 10:
        return SUCCESS
    code, findings = supervision.check(places, given)
    sys.stdout.write(findings)
    if code:
        # The code is that of the first failed finding. A check that did not get so far says why in its last line.
        lines = [line for line in findings.splitlines() if line.strip()]
        failed = [line.partition(" ")[2] for line in lines if line.startswith("FAILED ")]
        raise Failure(code, (failed or lines[-1:] or [f"the check of this host ends with {code}, without a word"])[0])
    return SUCCESS


def meta_data(given: Invocation, places: Places) -> int:
    """What this agent can do, for pcs and Pacemaker; asks neither of them, which would dead-lock a controller."""
    from qga_ra import metadata  # only here: an XML library is nothing that stop should depend on

    sys.stdout.write(metadata.document())
    return SUCCESS


ACTIONS: Mapping[str, Callable[[Invocation, Places], int]] = {
    "start": start,
    "stop": stop,
    "monitor": monitor,
    "reload-agent": reload_agent,
    "validate-all": validate_all,
    "meta-data": meta_data,
}


def run(arguments: list[str], environ: Mapping[str, str], places: Places) -> int:
    """One action to its exit code; the reason of a failure is on stderr. Arguments after the first are ignored."""
    action = ACTIONS.get(arguments[0]) if arguments else None
    if action is None:
        warn(f"usage: qga {'|'.join(ACTIONS)}")
        return UNIMPLEMENTED
    try:
        return action(invocation(environ), places)
    except Failure as failure:
        code, reason = failure.code, failure.reason
    except PermissionError as error:
        code, reason = PERMISSION, f"{error.filename or 'permission'}: {error.strerror}; the agent must run as root"
    except OSError as error:
        code, reason = GENERIC, f"{error.filename or arguments[0]}: {error.strerror}"
    except Exception as error:  # a defect of ours: the log gets all of it
        traceback.print_exc()
        code, reason = GENERIC, f"defect in {arguments[0]}: {type(error).__name__}: {error}"
    say(environ.get("OCF_EXIT_REASON_PREFIX", PREFIX) + Failure(code, reason).reason)
    return code


def main(arguments: list[str]) -> NoReturn:
    """The process that Pacemaker started, whatever it inherited."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = sys.stdout or sys.stderr or io.StringIO()
    # Ignored and blocked signals are handed on to children, and with CHLD ignored nobody's exit code is ever seen.
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    code = run(arguments, os.environ, Places())
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def warn(*lines: str) -> None:
    """Lines for Pacemaker's log, which do not change the outcome."""
    for line in lines:
        if line:
            say(f"masakari-qga: {line}")


def say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads, or there is no stderr
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _patience(given: Invocation) -> float:
    return min(client.PATIENCE, (given.end - given.begin) / 4)


def _reloaded(given: Invocation, places: Places) -> list[str]:
    """Gives the running helper these parameters; why that failed, if it did.

    The files are read here, as root: the helper may have given up that right.
    """
    from heartbeat import configuration, hostname  # nothing that stop or monitor should depend on

    try:
        config = configuration.load(given.config, given.settings)
        request = {
            "do": "reload",
            "parameters": given.settings,
            "node": given.node,
            "configuration": configuration.packed(config),
            "hostname": hostname.resolve(config),
        }
        client.ask(request, places.socket, _patience(given))
    except (configuration.ConfigurationError, configuration.ParameterError) as error:
        return [str(error)]
    except client.Refused as error:
        return [f"the helper refuses the parameters: {error}"]
    except client.Unanswered as error:
        return [f"the helper did not take the parameters: {error.why}"]
    return []
