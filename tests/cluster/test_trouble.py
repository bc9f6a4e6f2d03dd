"""What an administrator sees when the resource cannot start, and what it takes to get it going again."""
from __future__ import annotations

import pytest

from tests.harness.node import CONFIG, RESOURCE
from tests.harness.wait import until

WRONG = {
    "a value": ("[watch]\ninterval = 1\n", f"{CONFIG} line 2: watch.interval = '1': out of range; give 2 to 300 s"),
    "an option": ("# ours\n[watch]\nintervall = 5\n",
                  f"{CONFIG} line 3: watch.intervall: unknown option; did you mean interval?"),
    "no file": (None, f"{CONFIG}: no such file; create it (it may be empty) or correct parameter config"),
}


@pytest.fixture
def configuration(node):
    """The good one; it is back after the test, and no resource is left."""
    good = CONFIG.read_bytes()
    yield good
    node.discard()
    CONFIG.write_bytes(good)
    CONFIG.chmod(0o640)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_configuration_is_shown_with_place_and_remedy_and_cleanup_starts_it_once_it_is_right(
        node, configuration, what):
    text, expected = WRONG[what]
    CONFIG.unlink() if text is None else CONFIG.write_text(text)
    node.cluster.pcs("resource", "create", RESOURCE, "ocf:masakari:qga", "clone")
    failure = until(node.cluster.failures, "a failed start")[0]
    assert failure["op_key"] == f"{RESOURCE}_start_0"
    shown = node.run("crm_mon", "-1").stdout
    # Pacemaker 2.1 writes 'invalid parameter', 3.0 its newer word for it.
    line = next((line for line in shown.splitlines() if f"({expected}) at " in line), shown)
    assert f"{RESOURCE} start on one returned 'invalid" in line.lower()
    assert len(expected) <= 128     # what Pacemaker keeps of it
    until(lambda: any(done[0] == "stop" for done in node.operations()), "Pacemaker to stop it")
    assert node.helpers() == []

    CONFIG.write_bytes(configuration)
    CONFIG.chmod(0o640)
    node.cluster.pcs("resource", "cleanup", RESOURCE)
    node.cluster.wait_role(RESOURCE, "Started")
    node.wait_attribute("qga-state", "ok")
    assert node.cluster.failures() == []
