"""The helper's command line, and the exit code of each way in which it cannot begin."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from heartbeat import __version__, settings
from heartbeat.configuration import Configuration, ConfigurationError, ParameterError, load, show

# OCF's codes, which the agent hands on as they are.
DIED, BAD_CONFIGURATION, NO_PERMISSION, NOT_INSTALLED, BAD_PARAMETER = 1, 2, 4, 5, 6


def main(arguments: Sequence[str], run: Callable[[Configuration, str, str], int]) -> int:
    """Do what the command line asks for; the last line on stderr is the reason of a failure, for people.

    run: the helper itself; takes the configuration, this node's name in the cluster, and the directory for lock and
    socket.
    """
    given = _parser().parse_args(arguments)
    if given.inspect:
        from heartbeat.inspection import inspect

        return inspect(given.config, _parameters(given.set), given.run_directory)
    try:
        config = load(given.config, _parameters(given.set))
        if given.show_config:
            print(show(config), end="")
            return 0
        return _check(config) if given.check else run(config, given.node, given.run_directory)
    except ParameterError as error:
        return _failed(BAD_PARAMETER, str(error))
    except ConfigurationError as error:
        return _failed(BAD_CONFIGURATION, str(error))
    except ImportError as error:
        return _failed(NOT_INSTALLED, f"python module {error.name} cannot be loaded; install the package that has it")
    except PermissionError as error:
        return _failed(NO_PERMISSION, f"{error.filename}: {error.strerror}; the helper runs as root")


def _check(config: Configuration) -> int:
    from heartbeat.examination import examine

    return examine(config)


def _failed(code: int, reason: str) -> int:
    print(reason, file=sys.stderr, flush=True)
    return code


def _parameters(pairs: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="masakari-qga helper", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", default=settings.CONFIG, metavar="PATH")
    parser.add_argument("--node", default="", metavar="NAME", help="this node's name in the cluster")
    parser.add_argument("--set", action="append", default=[], metavar="PARAMETER=VALUE")
    parser.add_argument("--run-directory", default=settings.RUN_DIRECTORY, metavar="PATH")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="look at this host, begin nothing")
    what.add_argument("--inspect", action="store_true", help="look at all around the helper: see heartbeat/inspection")
    what.add_argument("--show-config", action="store_true", help="print each option's value and origin")
    return parser
