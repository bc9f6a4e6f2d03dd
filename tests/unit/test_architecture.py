"""Who may import whom. The directions are the design: what decides stays free of clocks and I/O, what Pacemaker runs
every few seconds stays cheap, and a reader knows in which file to look for libvirt."""
from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The part of the tree that is installed; scripts have no suffix and no module name that anybody could import.
PACKAGES = ("qga_ra", "heartbeat")
SCRIPTS = ("ocf/qga", "qga_ra/masakari-qga")

LIBVIRT = frozenset({"libvirt", "libvirt_qemu", "libvirtmod", "libvirtmod_qemu", "libvirtaio"})
HTTP = frozenset({"requests", "urllib3", "keystoneauth1", "http", "urllib.request"})
HEAVY = LIBVIRT | HTTP | {"lxml", "prometheus_client"}
OUTSIDE = LIBVIRT | HTTP | {"socket", "_socket", "sqlite3", "subprocess"}

PURE = ("heartbeat.verdict", "heartbeat.witness", "heartbeat.schedule", "heartbeat.holds", "heartbeat.localhealth",
        "heartbeat.patience", "heartbeat.terms", "heartbeat.exemption", "heartbeat.expectation",
        "heartbeat.outcome", "heartbeat.history", "heartbeat.evidence.scene", "heartbeat.tally",
        *(f"heartbeat.health.{name}" for name in ("definition", "options", "section", "audience", "replies",
                                                  "statement", "progress", "program", "freshness", "measures",
                                                  "course", "condition", "outbreak", "account")))
# All that a pure module may take from the standard library: neither a clock nor a file, thread or random number in it.
PURE_LIBRARY = frozenset({"__future__", "abc", "base64", "bisect", "collections", "dataclasses", "enum", "fnmatch",
                          "functools", "hashlib", "heapq", "itertools", "json", "math", "numbers", "operator", "re",
                          "statistics", "string", "types", "typing", "zlib"})
IMPURE_CALLS = frozenset({"open", "input", "print", "exec", "eval", "__import__"})


class Ownership(NamedTuple):
    """Only `owners` may import `what`."""

    what: frozenset[str]
    owners: tuple[str, ...]
    rule: str


OWNERSHIPS = (
    Ownership(LIBVIRT, ("heartbeat.hypervisor",), "only heartbeat/hypervisor.py imports libvirt"),
    Ownership(HTTP, ("heartbeat.backends",), "only heartbeat/backends/ speaks to the outside"),
    Ownership(frozenset({"prometheus_client"}), ("heartbeat.metrics",), "only heartbeat/metrics/ exports metrics"),
    # hostname: gethostname() is Nova's own default for its name. ocf/qga: a sound helper's ping, too often for client.
    # evidence.console: the end of a pair, to a process of ours.
    Ownership(frozenset({"socket", "_socket"}),
              ("heartbeat.backends", "heartbeat.control", "heartbeat.eventlog", "heartbeat.hostname",
               "heartbeat.metrics", "heartbeat.evidence.console", "qga_ra.client", "ocf/qga"),
              "sockets belong to backends, control, metrics and client"),
    Ownership(frozenset({"heartbeat.daemon"}), ("heartbeat.__main__",),
              "only heartbeat/__main__.py may: it is the top"),
    Ownership(frozenset({"ocf"}), (), "no package of that name is ours, and another's must not be used"),
)
TOP_LEVEL = frozenset({"ocf", "qga_ra", "heartbeat", "tests", "packaging", "setup.py", "README.rst", "Makefile",
                       "LICENSE", "docs"})     # and dot files


class Import(NamedTuple):
    """One imported name, with all its dots. At run time only unless it stands under `if TYPE_CHECKING`."""

    name: str
    line: int
    runtime: bool


class Module(NamedTuple):
    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]


def within(name: str, packages: Iterable[str]) -> str:
    """That one of these modules which a dotted name is, or is inside of; "" if none."""
    return max((package for package in packages if name == package or name.startswith(package + ".")), default="")


def imports_of(tree: ast.Module, package: str) -> Iterator[Import]:
    """Every import of a module, wherever it stands; `package` is what its relative imports start from."""
    typing_only = {id(inner) for node in ast.walk(tree)
                   if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
                   for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[:len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("__import__", "import_module"):
            names = [str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)]
        for name in names:
            yield Import(name, node.lineno, id(node) not in typing_only)


def modules_under(root: Path) -> dict[str, Module]:
    """The installed part of a source tree, by module name; a script goes by its path."""
    found = {}
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    for path in [*paths, *(root / script for script in SCRIPTS if (root / script).is_file())]:
        relative = path.relative_to(root)
        name = ".".join(relative.with_suffix("").parts) if path.suffix else str(relative)
        package = name.rpartition(".")[0]
        if path.name == "__init__.py":
            name = package
        tree = ast.parse(path.read_text(encoding="utf-8"), str(relative))
        found[name] = Module(name, relative, tree, tuple(imports_of(tree, package)))
    return found


def reached(modules: dict[str, Module], start: str) -> Iterator[tuple[Import, list[Module]]]:
    """What is imported at run time by a module and all that it draws in of our own tree, with the way there."""
    ways: dict[str, list[Module]] = {}
    queue: list[str] = []

    def enter(name: str, way: list[Module]) -> None:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):     # importing a.b runs a/__init__.py as well
            ours = ".".join(parts[:length])
            if ours in modules and ours not in ways:
                ways[ours] = [*way, modules[ours]]
                queue.append(ours)

    enter(start, [])
    while queue:
        current = queue.pop(0)
        for item in modules[current].imports:
            if item.runtime:
                yield item, ways[current]
                enter(item.name, ways[current])


def violations(root: Path) -> list[str]:
    """Every breach of a rule in a source tree, as `file:line: rule`. A module that does not exist breaks none."""
    modules = modules_under(root)
    found = [f"{path.relative_to(root)}:1: ocf/ holds the agent, not a package: no Python module in it"
             for path in sorted((root / "ocf").rglob("*.py"))]
    for module in modules.values():
        found += ownership(module)
        if within(module.name, ("qga_ra", *SCRIPTS)):
            found += reaching(modules, module, HEAVY, "what Pacemaker runs every few seconds stays light")
        if within(module.name, PURE):
            found += reaching(modules, module, OUTSIDE, f"{module.name} decides, and reaches no I/O at any distance")
            found += impurities(module)
    return list(dict.fromkeys(found))       # `from x import y` names both x and x.y


def ownership(module: Module) -> Iterator[str]:
    for item in module.imports:
        for what, owners, rule in OWNERSHIPS:
            if within(item.name, what) and not within(module.name, owners):
                yield f"{module.path}:{item.line}: imports {within(item.name, what)}: {rule}"


def reaching(modules: dict[str, Module], start: Module, forbidden: frozenset[str], rule: str) -> Iterator[str]:
    for item, way in reached(modules, start.name):
        if within(item.name, forbidden):
            by = f" (drawn in by {' -> '.join(step.name for step in way)})" if len(way) > 1 else ""
            yield f"{way[-1].path}:{item.line}: imports {within(item.name, forbidden)}{by}: {rule}"


def impurities(module: Module) -> Iterator[str]:
    rule = f"{module.name} has no clock and no I/O; what it needs is passed in"
    for item in module.imports:
        if item.runtime and not within(item.name, (*PURE_LIBRARY, *PACKAGES)):
            yield f"{module.path}:{item.line}: imports {item.name.partition('.')[0]}: {rule}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{module.path}:{node.lineno}: calls {node.func.id}(): {rule}"


def misplaced(paths: list[str]) -> list[str]:
    """Those tracked paths that stand where nothing may stand."""
    def allowed(path: str) -> bool:
        top = path.split("/")[0]
        return path.startswith(("packaging/deb/", "packaging/rpm/")) if top == "packaging" else (
            top in TOP_LEVEL or top.startswith("."))
    return [path for path in paths if not allowed(path)]


def test_imports_go_in_the_directions_of_the_design():
    assert not violations(ROOT), "\n" + "\n".join(violations(ROOT))


def test_there_is_something_to_check():
    assert "heartbeat.settings" in modules_under(ROOT)


def test_nothing_unknown_stands_at_the_top():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    assert misplaced(listing.stdout.decode().split("\0")[:-1]) == []


def test_a_file_that_stands_where_nothing_may_stand_is_named():
    paths = ["tox.ini", ".ci/run", "ocf/qga", "packaging/x.spec", "packaging/deb/rules"]
    assert misplaced(paths) == ["tox.ini", "packaging/x.spec"]


@pytest.mark.parametrize(("files", "expected"), [
    ({"qga_ra/agent.py": "def monitor():\n    import lxml.etree\n"},
     ["qga_ra/agent.py:2: imports lxml: what Pacemaker"]),
    ({"qga_ra/agent.py": "from heartbeat import settings\n", "heartbeat/settings.py": "\n\nimport libvirt\n"},
     ["heartbeat/settings.py:3: imports libvirt (drawn in by qga_ra.agent -> heartbeat.settings): what Pacemaker",
      "heartbeat/settings.py:3: imports libvirt: only heartbeat/hypervisor.py"]),
    ({"ocf/qga": "import heartbeat\n", "heartbeat/__init__.py": "import requests\n"},
     ["heartbeat/__init__.py:1: imports requests (drawn in by ocf/qga -> heartbeat): what Pacemaker",
      "heartbeat/__init__.py:1: imports requests: only heartbeat/backends/"]),
    ({"heartbeat/verdict.py": "import math\nfrom time import monotonic\n"},
     ["heartbeat/verdict.py:2: imports time: heartbeat.verdict has no clock"]),
    ({"heartbeat/witness.py": "def vcpu(path):\n    return open(path).read()\n"},
     ["heartbeat/witness.py:2: calls open(): heartbeat.witness has no clock"]),
    ({"heartbeat/holds.py": "from . import ledger\n", "heartbeat/ledger.py": "import sqlite3\n"},
     ["heartbeat/ledger.py:1: imports sqlite3 (drawn in by heartbeat.holds -> heartbeat.ledger): heartbeat.holds dec"]),
    ({"heartbeat/probe.py": "import libvirt_qemu\n"},
     ["heartbeat/probe.py:1: imports libvirt_qemu: only heartbeat/hypervisor.py"]),
    ({"heartbeat/delivery.py": "import urllib.request\nimport http.client\n"},
     ["heartbeat/delivery.py:1: imports urllib.request: only heartbeat/backends/",
      "heartbeat/delivery.py:2: imports http: only heartbeat/backends/"]),
    ({"heartbeat/pressure.py": "import importlib\nnet = importlib.import_module('socket')\n"},
     ["heartbeat/pressure.py:2: imports socket: sockets belong"]),
    ({"heartbeat/control.py": "from heartbeat.daemon import Daemon\n"},
     ["heartbeat/control.py:1: imports heartbeat.daemon: only heartbeat/__main__.py"]),
    ({"heartbeat/backends/attributes.py": "from .. import daemon\n"},
     ["heartbeat/backends/attributes.py:1: imports heartbeat.daemon: only heartbeat/__main__.py"]),
    ({"ocf/qga": "import ocf\n", "ocf/__init__.py": ""},
     ["ocf/__init__.py:1: ocf/ holds the agent", "ocf/qga:1: imports ocf: no package"]),
])
def test_a_wrong_import_is_found_and_named(tmp_path, files, expected):
    plant(tmp_path, files)
    found = sorted(violations(tmp_path))
    assert [line[:len(start)] for line, start in zip(found, expected)] == expected
    assert len(found) == len(expected)


def test_the_right_imports_are_left_alone(tmp_path):
    plant(tmp_path, {
        "heartbeat/__main__.py": "from heartbeat import daemon\n",
        "heartbeat/hypervisor.py": "import libvirt\nimport libvirt_qemu\n",
        "heartbeat/backends/masakari.py": "import requests\nfrom keystoneauth1 import session\nimport socket\n",
        "heartbeat/delivery.py": "from urllib.parse import urlsplit\n",
        "heartbeat/control.py": "import socket\n",
        "heartbeat/guest.py": "from lxml import etree\n",
        "heartbeat/verdict.py": "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
                                "from heartbeat import guest\nif TYPE_CHECKING:\n    import datetime\n",
        "qga_ra/client.py": "import _socket\nimport json\n",
    })
    assert violations(tmp_path) == []


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
