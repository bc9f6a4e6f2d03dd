"""`--check`: whether this host has what the helper needs. Looks, and changes nothing."""

from __future__ import annotations

import importlib
import os
import stat
import threading
from typing import Callable

from heartbeat import privileges
from heartbeat.configuration import Configuration
from heartbeat.hostname import resolve

# Seconds; libvirt's open has no time limit of its own.
LIBVIRT_LIMIT = 8.0
MODULES = ("libvirt", "libvirt_qemu", "lxml.etree", "requests", "keystoneauth1")


def examine(config: Configuration) -> int:
    """Print a line for each finding; returns the exit code of the gravest one."""
    codes = [look(config) for look in (_modules, _file, _name, _user, _libvirt)]  # libvirt as that user
    for note in config.notes:
        print(f"note: {note}")
    return next((code for code in codes if code), 0)


def _modules(config: Configuration) -> int:
    missing = []
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(module)
    if missing:
        print(f"FAILED python modules missing: {', '.join(missing)}; reinstall masakari-qga with its dependencies")
        return 5
    print("ok     python modules are there")
    return 0


def _file(config: Configuration) -> int:
    mode = stat.S_IMODE(os.stat(config.path).st_mode)
    if mode & 0o007:
        print(f"FAILED {config.path} has mode {mode:04o} and may hold a password; chmod 0640 it")
        return 4
    print(f"ok     {config.path} is readable, mode {mode:04o}")
    return 0


def _name(config: Configuration) -> int:
    name, origin = resolve(config)
    print(f"ok     reports name this host {name}, from {origin}")
    return 0


def _user(config: Configuration) -> int:
    standing = privileges.drop(config)
    print(f"{'note: ' if standing.unwanted else 'ok    '} {standing.text}")
    return 0


def _libvirt(config: Configuration) -> int:
    uri = config.text("libvirt.connection_uri")
    why = _within(LIBVIRT_LIMIT, lambda: _reach(uri))
    if why:
        print(f"FAILED libvirt at {uri}: {why}; start libvirtd or virtqemud, or correct libvirt.connection_uri")
        return 1
    print(f"ok     libvirt answers at {uri}")
    return 0


def _reach(uri: str) -> str:
    try:
        from heartbeat.hypervisor import unreachable
    except ImportError as error:
        return f"python module {error.name} is missing"
    return unreachable(uri)


def _within(seconds: float, look: Callable[[], str]) -> str:
    """What `look` returns, or a word about the time if it does not return; its thread is left behind."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(look()), daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"no answer within {seconds:g} s"
