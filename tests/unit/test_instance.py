"""What is read of Nova's metadata in a domain, of whichever version, and whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from heartbeat.guest import read
from heartbeat.terms import ACTION, CHECKS, KEY, NO_INSTANCE, SENSITIVITY, SILENT, Instance, Wish
from tests.unit.test_guest import domain

SPECS = {"hw:cpu_policy": "dedicated", KEY: "yes", SENSITIVITY: "high"}
PROPERTIES = {"hw_qemu_guest_agent": "True", "masakari_qga_action": "record"}


def written(specs: Mapping[str, str], properties: Mapping[str, str] = MappingProxyType({}), version: str = "1.1",
            flavor: str = "m1.tiny", prefix: str = "nova:", more: str = "", name: str = KEY) -> str:
    """As Nova 32 writes it. more: before all of it."""
    def entries(group: str, entry: str, pairs: Mapping[str, str]) -> str:
        inner = "".join(f'<{prefix}{entry} name="{key}">{value}</{prefix}{entry}>' for key, value in pairs.items())
        return f"<{prefix}{group}>{inner}</{prefix}{group}>"
    declared = f'xmlns{":" + prefix[:-1] if prefix else ""}="http://openstack.org/xmlns/libvirt/nova/{version}"'
    return (
        f'{more}<{prefix}instance {declared}><{prefix}package version="32.0.0"/><{prefix}name>{name}</{prefix}name>'
        f'<{prefix}flavor name="{flavor}" id="1"><{prefix}memory>512</{prefix}memory>'
        f"{entries('extraSpecs', 'extraSpec', specs)}</{prefix}flavor>"
        f'<{prefix}image uuid="6f6f"><!-- c -->{entries("properties", "property", properties)}</{prefix}image>'
        f"</{prefix}instance>"
    )


def seen(metadata: str) -> Instance:
    return read(domain(metadata=metadata)).instance


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
@pytest.mark.parametrize("prefix", ["nova:", "n:", ""])
def test_flavor_extra_specs_and_image_properties_are_read_in_any_version_of_the_namespace(version, prefix):
    found = seen(written(SPECS, PROPERTIES, version, prefix=prefix))
    assert found == ("m1.tiny", Wish(True, "high"), Wish(action="record"), KEY)


def test_before_nova_32_only_the_flavors_name_is_there():
    older = '<n:instance xmlns:n="http://openstack.org/xmlns/libvirt/nova/1.0"><n:flavor name="m1"/></n:instance>'
    assert seen(older) == Instance("m1", SILENT, SILENT)


@pytest.mark.parametrize("metadata", [
    "", "<x:app xmlns:x='urn:x'><x:instance/></x:app>", "<instance><flavor name='ha'/></instance>",
    "<n:instance xmlns:n='urn:not-nova'><n:flavor name='ha'/></n:instance>",
])  # fmt: skip
def test_metadata_of_others_say_nothing(metadata):
    assert seen(metadata) == NO_INSTANCE


def test_metadata_of_others_beside_novas_do_not_hide_it():
    assert seen(written(SPECS, more="<?pi x?><x:app xmlns:x='urn:x'/><!-- c -->")).specs == Wish(True, "high")


def test_a_tenants_text_does_not_pass_for_the_flavors():
    evil = {"x": f"&lt;extraSpec name='{KEY}'>yes&lt;/extraSpec>", "masakari_qga_action": "recover"}
    found = seen(written({}, evil))
    assert (found.specs, found.properties) == (SILENT, Wish(action="recover"))


def test_what_is_large_costs_little_and_says_little():
    many = {f"k{n}": "v" * 50 for n in range(5000)}
    properties = {ACTION: "x" * 100_000, CHECKS: "web," * 100_000}
    found = seen(written({**many, KEY: "yes"}, properties, flavor="f" * 1000, name="n" * 1000))
    assert found == Instance("f" * 255, SILENT, Wish(odd=(ACTION, CHECKS)), "n" * 255)


def test_the_servers_name_and_the_checks_it_asks_for_are_read():
    found = seen(written({}, {"masakari_qga_checks": "web, queue"}, name=" shop-1 "))
    assert (found.name, found.properties.checks) == ("shop-1", ("web", "queue"))
    assert seen(written({}).replace(f"<nova:name>{KEY}</nova:name>", "")).name == ""


def test_entries_without_name_or_value_are_passed_over():
    nameless = "<n:extraSpec/><n:extraSpec name=''/><n:extraSpec name='masakari:qga'/>"
    empty = f"{nameless}<n:other name='masakari:qga'>yes</n:other>"
    text = written({}, prefix="n:").replace("<n:extraSpecs>", f"<n:extraSpecs>{empty}")
    assert seen(text).specs == Wish(odd=(KEY,))
