"""What the decision refuses to do, and what it leaves behind for people."""

from __future__ import annotations

import pytest

from heartbeat.incident import BESIDE, HUNG, QEMU_DIED, RECORD, RECOVER, Close, Open
from heartbeat.observation import Sampled
from heartbeat.verdict import Broken, begin, check, judge
from heartbeat.watch import VERDICTS
from tests.harness.observations import FIT, RUN, TIMING, UNFIT, UUID, guest, healthy, incident, sample


def test_evidence_is_one_short_line_of_ours():
    story = healthy()
    story.hangs()
    evidence = story.incidents[0].evidence
    assert '"kernel":"still"' in evidence
    assert len(evidence) < 300
    assert evidence.isprintable()


def test_a_step_against_our_promises_is_refused():
    armed = begin(guest(), RUN, True, None, 0)._replace(silences=2, silent_from=0.0, first=sample(1), last=sample(20))
    hung = Open(UUID, "vm", RUN, HUNG, RECOVER, "{}")
    check(armed, armed, [hung], FIT, TIMING)
    with pytest.raises(Broken, match="never answered"):
        check(armed._replace(armed=False), armed, [hung], FIT, TIMING)
    with pytest.raises(Broken, match="never answered"):
        check(armed, armed, [hung._replace(incarnation="another")], FIT, TIMING)
    with pytest.raises(Broken, match="not fit"):
        check(armed, armed, [hung], UNFIT, TIMING)
    with pytest.raises(Broken, match="without silence"):
        check(armed, armed._replace(silences=0), [hung], FIT, TIMING)
    check(armed, armed._replace(silences=1), [hung], FIT, TIMING)
    bare = armed._replace(guest=guest(balloon=0))
    check(bare, bare, [hung], FIT, TIMING)
    with pytest.raises(Broken, match="without a second witness"):
        check(bare, bare._replace(silences=1), [hung], FIT, TIMING)
    with pytest.raises(Broken, match="without silence"):
        check(armed, armed._replace(last=armed.first), [hung], FIT, TIMING)
    with pytest.raises(Broken, match="at once"):
        check(armed, armed, [hung, hung], FIT, TIMING)
    with pytest.raises(Broken, match="beside"):
        check(armed._replace(incident=incident(QEMU_DIED, RECORD)), armed, [hung], FIT, TIMING)
    with pytest.raises(Broken, match="again"):
        check(armed._replace(incident=incident(HUNG, RECOVER)), armed, [Close(1, "so"), hung], FIT, TIMING)
    check(armed, armed, [hung._replace(verdict=QEMU_DIED)], UNFIT, TIMING)


@pytest.mark.parametrize("verdict", sorted(BESIDE))
def test_what_is_judged_beside_the_watch_is_no_state_of_it_and_no_step_concludes_it(verdict):
    assert verdict not in VERDICTS
    armed = begin(guest(), RUN, True, None, 0)
    for action in (RECORD, RECOVER):
        with pytest.raises(Broken, match="no watch can see"):
            check(armed, armed, [Open(UUID, "vm", RUN, verdict, action, '{"event":"x"}')], FIT, TIMING)


def test_an_observation_changes_nothing_but_the_watch_that_it_returns():
    story = healthy()
    before = story.watch
    judge(before, Sampled(sample(story.now)), story.now, FIT, TIMING)
    assert before == story.watch
