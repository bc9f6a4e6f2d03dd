"""What flavors, images, metadata and Nova want of real guests: who is asked at all, who is held, and who is missing."""
from __future__ import annotations

import pytest

from tests.harness.nova import DETAIL, Nova
from tests.harness.wait import until
from tests.harness.ward import FAST, together

pytestmark = pytest.mark.slow  # the shortest dwell that can be set is two minutes
EVIL = {"masakari_qga": "yes <evil/> & co", "os_distro": "]]>&lt;", "masakari_qga_action": "recover"}
OPT_IN = {**FAST, "guests": "opt-in", "flavors": "ha.*", "resync": 10}
ASKED = "grep -E '^(non)?voluntary' /proc/$(pidof qemu-ga)/status"


@pytest.fixture(scope="module")
def nova():
    with Nova(("one",), port=0) as nova:
        yield nova


@pytest.fixture(scope="module")
def ward(module_ward, nova):
    ward = module_ward(OPT_IN)
    ward.boot("by flavor's name", flavor="ha.small")
    ward.boot("by extra spec", "lost", specs={"hw:cpu_policy": "shared", "masakari:qga": "yes"})
    ward.boot("by image", properties={"masakari_qga": "True", "masakari_qga_action": "record"})
    ward.boot("by metadata", "says nothing")
    ward.boot("says nonsense", properties=EVIL)
    for part, guest in ward.guests.items():
        nova.server(guest.uuid, metadata={"HA_Enabled": "True"} if part == "by metadata" else {})
    ward.quiet = ward["says nothing"].run(ASKED)
    ward.helper.start()
    ward.wait("healthy", "by flavor's name", "by extra spec", "by image", "lost")
    ward.wait("exempt", "says nothing", "by metadata", "says nonsense")
    return ward


@pytest.fixture(scope="module")
def asking(ward, nova):
    """From here on Nova is asked, as seldom as can be set, and one guest is lost behind libvirt's back."""
    ward.reset(nova={"enabled": "yes", "interval": 30, "dwell": 120, "endpoint": nova.url},
               verdicts={"missing": "recover"})
    until(lambda: (ward.helper.status()["nova"] or {}).get("heard"), "Nova's first answer")
    ward["lost"].undefine()
    ward["lost"].destroy()
    return ward


def why(ward, part: str) -> str:
    return "\n".join(ward.helper.command("why", uuid=ward[part].uuid)["lines"])


def test_who_has_not_opted_in_hears_nothing_of_us_while_others_are_asked(ward):
    ward.answers("by extra spec", "by image", rounds=3)
    assert ward["says nothing"].run(ASKED) == ward.quiet
    assert ward.seen("says nothing")["detail"] == "not opted in"
    assert "watched   no: not opted in" in why(ward, "says nothing")


def test_a_tenants_nonsense_opts_nobody_in_and_is_not_repeated(ward):
    said = why(ward, "says nonsense")
    assert "its image has a value for masakari:qga that is not understood" in said
    assert "evil" not in said


def test_a_hang_of_who_opted_in_is_reported_and_what_its_image_forbids_is_only_recorded(ward):
    together(ward["by flavor's name"].halt, ward["by image"].halt)
    ward.wait("hung", "by flavor's name", "by image")
    until(lambda: ward.deliveries("by flavor's name") == "delivered", "the report")
    assert [it[:2] for it in ward.incidents("by image")] == [("hung", "record")]
    assert ward.attempts("by image") == []


def test_metadata_opt_in_once_nova_is_asked(asking):
    asking.wait("healthy", "by metadata", seconds=60)
    assert "opted in: its server's metadata say so" in why(asking, "by metadata")
    assert asking.state("says nothing") == "exempt"


def test_a_guest_that_nova_works_on_is_held_until_it_is_done(asking, nova):
    server = nova.servers[asking["by metadata"].uuid]
    server.task_state = "rebuilding"
    until(lambda: "Nova is at it: rebuilding" in asking.seen("by metadata")["holds"], "the hold", 90)
    server.task_state = None
    until(lambda: not asking.seen("by metadata")["holds"], "its end", 90)


def test_a_guest_that_nova_has_active_here_and_libvirt_has_no_more_is_missing_and_reported_once(asking, nova):
    lost = asking["lost"].uuid
    until(lambda: asking.attempts("lost"), "the report", 300)
    (difference,) = asking.helper.status()["nova"]["differences"]
    assert (difference["uuid"], difference["verdict"], difference["action"]) == (lost, "missing", "recover")
    (attempt,) = asking.attempts("lost")
    assert attempt.notification["payload"]["instance_uuid"] == lost
    asking["lost"].start()
    until(lambda: not asking.helper.status()["nova"]["differences"], "the incident's end", 120)
    assert [it[:3] for it in asking.incidents("lost")] == [
        ("missing", "recover", "Nova and libvirt agree about it again")
    ]


def test_a_nova_that_fails_is_told_of_and_changes_nothing(asking, nova):
    nova.fail(DETAIL, 503)
    until(lambda: asking.helper.status()["nova"]["error"], "the trouble to be known", 90)
    assert "nova: Nova answers 503" in asking.helper.status()["state"]
    asking.answers("by metadata", "by extra spec")
    nova.heal()
