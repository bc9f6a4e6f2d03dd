"""What is kept of a domain's XML: whom it belongs to and what it is made of, and none of its secrets."""

from __future__ import annotations

import pytest
from lxml import etree

from heartbeat.evidence.redaction import redacted
from heartbeat.guest import BadDomain

SECRET = "Tr0ub4dor-and-3"
DOMAIN = f"""<?xml version='1.0'?>
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>instance-1</name><!-- {SECRET} -->
  <description>{SECRET}</description>
  <metadata><nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
    <nova:name>web</nova:name>
    <nova:owner><nova:user uuid='u1'>alice</nova:user><nova:project uuid='p1'>shop</nova:project></nova:owner>
    <nova:flavor name='m1'><nova:extraSpecs><nova:extraSpec name='hw:cpu'>2</nova:extraSpec></nova:extraSpecs>
    </nova:flavor>
    <nova:image><nova:properties><nova:property name='os_admin_password'>{SECRET}</nova:property></nova:properties>
    </nova:image></nova:instance>
    <app:instance xmlns:app='urn:app'><app:adminPass>{SECRET}</app:adminPass>
    <app:item name='api_token' value='{SECRET}'/>
    </app:instance></metadata>
  <os><kernel>/k</kernel><cmdline>root=/dev/vda token={SECRET}</cmdline></os>
  <sysinfo type='smbios'><oemStrings><entry>{SECRET}</entry></oemStrings></sysinfo>
  <launchSecurity type='sev'><dhCert>{SECRET}</dhCert><session>{SECRET}</session></launchSecurity>
  <devices>
    <disk type='network'><auth username='cinder'><secret type='ceph' uuid='{SECRET}'/></auth>
      <source protocol='rbd' name='volumes/v1'><host name='10.0.0.1' port='6789'/></source>
      <encryption format='luks'><secret type='passphrase' uuid='{SECRET}'/></encryption></disk>
    <disk type='network'><source protocol='https' name='img' query='token={SECRET}'><host name='h'/>
      <cookies><cookie name='c'>{SECRET}</cookie></cookies></source></disk>
    <disk type='network'><source protocol='nbd' name='nbd://bob:{SECRET}@h/x'/></disk>
    <disk type='file'><source file='json:{{"driver":"ssh","user":"bob","password":"{SECRET}"}}'/></disk>
    <disk type='network'><source protocol='rbd' name='rbd:pool/v1:id=cinder:key={SECRET}'/></disk>
    <graphics type='vnc' port='5900' passwd='{SECRET}' passwdValidTo='2027'/>
    <graphics type='spice' passwd='{SECRET}'/>
  </devices>
  <qemu:commandline><qemu:arg value='-fw_cfg'/><qemu:arg value='{SECRET}'/><qemu:env name='A' value='{SECRET}'/>
  </qemu:commandline>
</domain>"""


def test_no_secret_is_left_wherever_it_stood():
    assert SECRET not in redacted(DOMAIN)


def test_who_owns_the_guest_and_what_it_is_made_of_is_left():
    root = etree.fromstring(redacted(DOMAIN))
    nova = {"n": "http://openstack.org/xmlns/libvirt/nova/1.1"}
    assert root.findtext("name") == "instance-1"
    assert root.find(".//n:owner/n:user", nova).get("uuid") == "u1"
    assert root.findtext(".//n:extraSpec", namespaces=nova) == "2"
    assert root.find("devices/disk/source").get("name") == "volumes/v1"
    assert root.find("devices/graphics").get("port") == "5900"
    assert root.find("devices/graphics").get("passwd") == "removed"


def test_nothing_but_ascii_is_left():
    assert redacted("<domain><name>\u202egnitset</name></domain>") == "<domain><name>&#8238;gnitset</name></domain>\n"


@pytest.mark.parametrize("xml", [
    "", "<domain>", "<domain/><domain/>", "\ud800", "<!DOCTYPE d SYSTEM '/etc/passwd'><domain/>",
    "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain>&x;</domain>",
    "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><domain>&b;</domain>",
    "<a>" * 100000, "<domain>" + "x" * (5 << 20) + "</domain>",
])
def test_hostile_xml_is_refused_as_it_is_where_domains_are_read(xml):
    with pytest.raises(BadDomain):
        redacted(xml)
