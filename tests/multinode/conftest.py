"""One cluster of four for all of these tests; each leaves it as it found it: online, the resource on every node."""
from __future__ import annotations

import pytest

from tests.harness.hypervisor import Libvirtd
from tests.harness.node import RESOURCE
from tests.harness.quartet import FOURTH, FULL, Quartet
from tests.harness.wait import until

EVERYWHERE = [*FULL, FOURTH]
LAST = 3000     # characters of each helper's log that a failure shows


@pytest.fixture(scope="session")
def cluster(request):
    # Repeated every 10 s: the tests wait for what a cluster has forgotten to be said again.
    with Libvirtd(), Quartet(attributes={"reassert": 10}, watch={"interval": 2}) as made:
        request.config.stash[_MADE] = made
        made["n1"].pcs("resource", "create", RESOURCE, "ocf:masakari:qga", "op", "monitor", "interval=2s",
                       "timeout=20s", "clone", "interleave=true")
        yield made


@pytest.fixture
def quartet(cluster):
    """The cluster, well and at rest."""
    wait_well(cluster)
    yield cluster
    cluster["n1"].pcs("resource", "cleanup", RESOURCE)


def wait_well(cluster: Quartet) -> None:
    until(lambda: cluster.started() == EVERYWHERE, "the clone to run on all four nodes", 90, 0.3)
    for at in FULL:
        until(lambda at=at: sorted(cluster.states(at)) == EVERYWHERE, f"the attributes of all to be seen on {at}", 60,
              0.3)


_MADE = pytest.StashKey[Quartet]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    made = item.config.stash.get(_MADE, None)
    if report.failed and made:
        for member in made:
            report.sections.append((f"the helper's log on {member.name}", member.log()[-LAST:]))
