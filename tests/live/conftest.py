"""One libvirtd for all live tests, and a fresh guest for each that wants one."""
from __future__ import annotations

import itertools

import pytest

from tests.harness.guests import Guest
from tests.harness.hypervisor import Libvirtd
from tests.harness.ward import FAST, Ward, together

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def libvirtd():
    with Libvirtd() as daemon:
        yield daemon


def _making():
    made: list[Guest] = []

    def make(**hardware: object) -> Guest:
        made.append(Guest(next(_numbers), **hardware))
        return made[-1]
    yield make
    together(*(guest.remove for guest in made))


@pytest.fixture
def new_guest(libvirtd):
    """Makes guests, not started, with hardware as asked; they are gone after the test."""
    yield from _making()


@pytest.fixture
def guest(new_guest) -> Guest:
    """A guest whose agent answers."""
    started = new_guest().start()
    started.wait_agent()
    return started


@pytest.fixture
def new_ward(new_guest, tmp_path):
    """Makes the test's ward: guests, helper and endpoint, nothing started. Takes other options of [watch] than FAST,
    and other sections."""
    yield from _opening(new_guest, tmp_path)


@pytest.fixture(scope="module")
def module_ward(libvirtd, tmp_path_factory):
    """The same for a module whose tests take one guest each, so that their times of silence pass side by side."""
    for make in _making():
        yield from _opening(make, tmp_path_factory.mktemp("ward"))


def _opening(make, folder):
    opened: list[Ward] = []

    def ward(watch=FAST, **sections) -> Ward:
        # Half of a ward's guests are broken at once: on a real node that would be the node's fault.
        opened.append(Ward(folder, make, watch, **{"breaker": {"action": "report"}, **sections}).__enter__())
        return opened[-1]
    yield ward
    for it in opened:
        it.__exit__()
