"""Drills: one libvirtd, a ward for each module, and the table of all results at the end of the run."""
from __future__ import annotations

import itertools

import pytest

from tests.harness.drill import Drills, Row, table
from tests.harness.guests import Guest
from tests.harness.hypervisor import Libvirtd
from tests.harness.ward import Ward, together

ROWS = pytest.StashKey[list[Row]]()
_numbers = itertools.count(1)


def pytest_configure(config):
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("drills (seconds from the break to the report or verdict; in brackets: watched for)")
        terminalreporter.write_line("\n".join(table(rows)))


@pytest.fixture(scope="session")
def rows(request):
    return request.config.stash[ROWS]


@pytest.fixture(scope="session")
def libvirtd():
    with Libvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def new_drills(libvirtd, rows, tmp_path_factory):
    """Makes the drills of one helper: takes its options by section."""
    made: list[Guest] = []
    wards: list[Ward] = []

    def make(**hardware: object) -> Guest:
        made.append(Guest(next(_numbers), **hardware))
        return made[-1]

    def begin(watch=None, **sections) -> Drills:
        wards.append(Ward(tmp_path_factory.mktemp("ward"), make, watch or {}, **sections).__enter__())
        return Drills(wards[-1], rows)
    yield begin
    for ward in wards:
        ward.__exit__()
    together(*(guest.remove for guest in made))
