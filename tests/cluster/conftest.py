"""One node for each module, with what its SECTIONS say in the configuration file; each test leaves it empty."""
from __future__ import annotations

import pytest

from tests.harness.node import Node

LAST = 4000      # characters of a log that a failure shows


@pytest.fixture(scope="module")
def node(request):
    with Node(**getattr(request.module, "SECTIONS", {})) as made:
        request.module.__dict__["_node"] = made
        yield made


@pytest.fixture
def resource(node):
    """The resource, started, monitored every 2 s so that no test has to wait long; deleted after the test."""
    try:
        node.create("op", "monitor", "interval=2s", "timeout=20s")
        yield node
    finally:
        node.discard()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    made = getattr(item.module, "_node", None)
    if report.failed and made and report.when != "teardown":       # by then the module's node may be gone
        report.sections.append(("the helper's log", made.log()[-LAST:]))
        report.sections.append(("Pacemaker's failures", str(made.cluster.failures())))
