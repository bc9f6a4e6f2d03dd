"""How keystoneauth1 learns its own version, which is all that it wants of pbr: pbr may load pkg_resources for it, which
takes a third of the time until the child of heartbeat/sender.py can report."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType


class VersionInfo:
    """pbr's class of this name, as far as it is used while modules are loaded. package: as it was installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def version_string(self) -> str:
        from importlib import metadata

        try:
            return metadata.version(self._package)
        except metadata.PackageNotFoundError:
            return "0"

    release_string = __str__ = version_string


@contextlib.contextmanager
def told_cheaply() -> Iterator[None]:
    """What is imported in this block finds VersionInfo in place of pbr; whoever imports pbr later gets pbr."""
    names = ("pbr", "pbr.version")
    if any(name in sys.modules for name in names):
        yield
        return
    package, module = (ModuleType(name) for name in names)
    vars(module)["VersionInfo"] = VersionInfo
    vars(package)["version"] = module
    sys.modules.update(zip(names, (package, module)))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
