"""One libvirtd for all live tests, and a fresh guest for each that wants one."""
from __future__ import annotations

import itertools

import pytest

from tests.harness.guests import Guest
from tests.harness.hypervisor import Libvirtd

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def libvirtd():
    with Libvirtd() as daemon:
        yield daemon


@pytest.fixture
def new_guest(libvirtd):
    """Makes guests, not started, with hardware as asked; they are gone after the test."""
    made: list[Guest] = []

    def make(**hardware: object) -> Guest:
        made.append(Guest(next(_numbers), **hardware))
        return made[-1]
    yield make
    for guest in made:
        guest.remove()


@pytest.fixture
def guest(new_guest) -> Guest:
    """A guest whose agent answers."""
    started = new_guest().start()
    started.wait_agent()
    return started
