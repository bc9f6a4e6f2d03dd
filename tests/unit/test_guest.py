"""What is read from a domain's XML, which holds users' text."""

from __future__ import annotations

import pytest

from heartbeat.guest import AGENT_CHANNEL, XML_LIMIT, BadDomain, Channel, read

UUID = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
SPICE = "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0' state='disconnected'/></channel>"
OWN = "<channel type='unix'><source mode='bind' path='/run/own'/><target type='virtio' name='org.own.0'/></channel>"


def agent(state: str = " state='connected'", kind: str = "unix") -> str:
    return (
        f"<channel type='{kind}'><source mode='bind' path='/anywhere'/>"
        f"<target type='virtio' name='{AGENT_CHANNEL}'{state}/><alias name='channel0'/></channel>"
    )


def domain(devices: str = "", metadata: str = "", name: str = "instance-00000001", uuid: str = UUID, head: str = "",
           vcpu: str = "<vcpu placement='static' current='1'>2</vcpu>") -> str:
    return (
        f"{head}<domain type='kvm' id='7'><name>{name}</name><uuid>{uuid}</uuid><metadata>{metadata}</metadata>"
        f"<memory unit='KiB'>98304</memory>{vcpu}<devices>{devices}</devices></domain>"
    )


def nova(version: str) -> str:
    return (
        f"<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/{version}'><nova:name>&lt;b&gt;"
        " &#x202e;evil</nova:name><nova:owner><nova:user>uuid</nova:user></nova:owner><uuid>not-this-one</uuid>"
        "<vcpu>999</vcpu><name>nor-this</name></nova:instance>"
    )


def test_the_agents_channel_is_found_behind_others_by_its_targets_name():
    assert read(domain(SPICE + OWN + agent())).channel is Channel.OPEN


@pytest.mark.parametrize(("state", "channel"), [
    (" state='connected'", Channel.OPEN), (" state='disconnected'", Channel.CLOSED), ("", Channel.UNKNOWN),
    (" state=''", Channel.UNKNOWN), (" state='absent'", Channel.UNKNOWN), (" state='a new word'", Channel.UNKNOWN),
])  # fmt: skip
def test_the_channels_state_is_libvirts_word_or_unknown(state, channel):
    assert read(domain(agent(state))).channel is channel


@pytest.mark.parametrize("devices", ["", SPICE, OWN, agent(kind="pty"), agent().replace("channel", "serial")])
def test_a_domain_without_a_unix_channel_of_the_agents_name_has_none(devices):
    assert read(domain(devices)).channel is Channel.ABSENT


def test_of_two_channels_of_the_agents_name_the_first_counts_as_it_does_for_libvirt():
    assert read(domain(agent(" state='disconnected'") + agent())).channel is Channel.CLOSED


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_nova_and_users_write_into_the_metadata_changes_nothing(version):
    found = read(domain(agent() + "<memballoon model='virtio'><stats period='10'/></memballoon>", nova(version)))
    assert (found.uuid, found.name, found.vcpus, found.balloon_period) == (UUID, "instance-00000001", 2, 10)


@pytest.mark.parametrize(("devices", "period"), [
    ("", 0), ("<memballoon model='none'/>", 0), ("<memballoon model='virtio'><stats/></memballoon>", 0),
    ("<memballoon model='virtio'><stats period='0'/></memballoon>", 0),
    ("<memballoon model='virtio'><stats period='-5'/></memballoon>", 0),
    ("<memballoon model='virtio'><stats period='30'/></memballoon>", 30),
])  # fmt: skip
def test_a_balloon_that_does_not_report_has_period_zero(devices, period):
    assert read(domain(devices)).balloon_period == period


@pytest.mark.parametrize("name", ["a" * 5000, "&#10;Nov 20 root: fake line", "\u202eimage", "&lt;/name&gt;", ""])
def test_a_hostile_name_is_only_text_and_is_cut(name):
    found = read(domain(agent(), name=name))
    assert len(found.name) <= 255
    assert found.uuid == UUID


def test_the_uuid_is_in_one_form_only():
    assert read(domain(uuid=f" {UUID.upper()} ")).uuid == UUID
    assert read(domain(uuid=UUID.replace("-", ""))).uuid == UUID


@pytest.mark.parametrize("xml", [
    domain(head="<!DOCTYPE domain>"),
    domain(head="<!DOCTYPE domain [<!ENTITY a 'x'>]>", name="&a;"),
    domain(head="<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>"),
    domain(head="<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>",
           metadata="&c;"),
    domain(metadata="&unknown;"),
    domain(metadata="<nova:instance/>"),
    domain(metadata="\x00"),
    domain(metadata="\ud800"),
    domain(head="<?xml version='1.0' encoding='utf-16'?>"),
    domain() + domain(),
    "", " ", "<domain", "null", "<domain>" * 100_000,
    domain(uuid="not a uuid"), domain(uuid=""), domain(uuid="<a/>"),
    domain(vcpu="<vcpu/>"), domain(vcpu="<vcpu>1e9</vcpu>"), domain(vcpu=f"<vcpu>{'9' * 6000}</vcpu>"),
    domain("<memballoon><stats period='ten'/></memballoon>"),
    domain(metadata="x" * XML_LIMIT),
], ids=lambda xml: ascii(xml[:40]))  # fmt: skip
def test_a_domain_that_cannot_be_understood_is_refused_and_nothing_else_happens(xml):
    with pytest.raises(BadDomain) as caught:
        read(xml)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
