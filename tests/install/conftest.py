"""Packages and the systems to install them into. A test that changes a system takes one of its own: `.above()`."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heartbeat
from tests.harness import image, root

BUILD = root.HERE / "build"
OLDER = "0.0.9"     # what the tree calls itself for the package that is upgraded from
PLACE = "/masakari-qga"
PLUGINS = ("hypothesispytest", "pytest-subprocess")     # of the environment outside; no test in a root takes them


@pytest.fixture(scope="session", params=root.SUITES)
def suite(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package as `make deb` has left it."""
    return BUILD / f"masakari-qga_{heartbeat.__version__}_all.deb"


@pytest.fixture(scope="session")
def rpm_package() -> Path:
    return BUILD / f"masakari-qga-{heartbeat.__version__}-1.noarch.rpm"


@pytest.fixture(scope="session")
def older_deb() -> Path:
    """The same tree, under an older version."""
    return _built("deb", f"masakari-qga_{OLDER}_all.deb")


@pytest.fixture(scope="session")
def older_rpm_package() -> Path:
    return _built("rpm", f"masakari-qga-{OLDER}-1.noarch.rpm")


def _built(kind: str, name: str) -> Path:
    command = [root.HERE / f"packaging/{kind}/build.sh", BUILD / "older", OLDER]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return BUILD / "older" / name


@pytest.fixture(scope="session")
def fresh(suite) -> root.Root:
    """Nothing but what is essential: changed by whoever takes it."""
    return root.clean(suite)


@pytest.fixture(scope="session")
def bare(suite) -> root.Root:
    """A node with all that a cluster takes, but without the package."""
    return root.node(suite)


@pytest.fixture(scope="session")
def installed(bare, deb) -> root.Root:
    """A node with the package."""
    made = bare.above()
    made.run("dpkg", "--install", *made.put(deb))
    return made


@pytest.fixture(scope="session")
def guest_image() -> Path:
    """Made here, outside, since the kernel's headers and a compiler are wanted for it."""
    return image.build().kernel.parent


@pytest.fixture
def inside(guest_image):
    """Runs test files of this checkout in a cell within a root, by the root's own Python, and expects them to pass."""
    def run(system: root.Root, *words: str, seconds: float = 1800, **environment: str) -> str:
        cache = root.STORE / f"cache-{system.suite}"    # what libvirt found out about this QEMU
        cache.mkdir(parents=True, exist_ok=True)
        packages = Path(pytest.__file__).parents[1]
        for source, place, readonly in ((root.HERE, PLACE, True), (packages, "/pytest", True),
                                        (guest_image, "/guest", True), (cache, "/var/cache/masakari-qga-tests", False)):
            system.bind(source, place, readonly=readonly)
        paths = {"PYTHONPATH": f"{PLACE}:/pytest", "PYTHONDONTWRITEBYTECODE": "1", "MASAKARI_QGA_TEST_GUEST": "/guest"}
        without = [word for plugin in PLUGINS for word in ("-p", f"no:{plugin}")]
        ran = system.run("sh", "-c", 'cd "$0" && exec "$@"', PLACE,
                         "/usr/bin/python3", "-m", "tests.harness.cell", "--",
                         "/usr/bin/python3", "-m", "pytest", "-o", "cache_dir=/tmp/pytest", *without, *words,
                         seconds=seconds, check=False, **paths, **environment)
        said = ran.stdout + ran.stderr
        print(said, file=sys.stderr)
        assert ran.returncode == 0, f"{system.suite}: {' '.join(words)} gave {ran.returncode}"
        return said
    if os.geteuid() != 0:
        pytest.fail("be root: make test-install")
    return run
