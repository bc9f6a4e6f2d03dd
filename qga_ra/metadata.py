"""The agent's meta-data, rendered from the table of settings.

Four schemas are about, and no two agree. This document has OCF 1.1's words, without which Pacemaker would never call
reload-agent, and a DOCTYPE whose internal subset adds those words to the 1.0 DTD that ocf-tester checks against.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from heartbeat import __version__, settings
from qga_ra.parameters import TABLE

# In XML the first declaration of an attribute wins: the DTD's own list of actions does not have reload-agent.
HEAD = """<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd" [
<!ATTLIST parameter unique-group CDATA #IMPLIED reloadable (0|1) #IMPLIED>
<!ATTLIST action name NMTOKEN #REQUIRED>
]>
"""
TYPES = {"integer": "integer", "boolean": "boolean"}  # any other kind is a string to OCF

SHORT = "Reports guests that hang, crash or lose their agent"
LONG = """
Runs the masakari-qga helper, which watches every guest of this compute node through libvirt and the QEMU guest agent,
decides from several independent witnesses which guest has really failed, and reports it: to Masakari, which recovers
it, and as node attributes of this cluster.

The resource is the helper: a failed guest, libvirt or an API being away never make it fail. Run it as a clone on the
compute nodes, for example: pcs resource create qga-monitor ocf:masakari:qga meta migration-threshold=3
failure-timeout=120s clone

Credentials are not parameters. They are read from the configuration file, or from an existing masakarimonitors.conf.
"""

ACTIONS: tuple[dict[str, str], ...] = (
    {"name": "start", "timeout": "60s"},
    {"name": "stop", "timeout": "60s"},
    {"name": "monitor", "timeout": "20s", "interval": "10s", "depth": "0"},
    {"name": "reload-agent", "timeout": "20s"},
    {"name": "validate-all", "timeout": "20s"},
    {"name": "meta-data", "timeout": "5s"},
)


def document() -> str:
    """The whole meta-data, as stdout gets it."""
    root = Element("resource-agent", name="qga", version=__version__)
    SubElement(root, "version").text = "1.1"
    _described(root, LONG, SHORT)
    parameters = SubElement(root, "parameters")
    for name, option in TABLE.items():
        _parameter(parameters, name, option)
    actions = SubElement(root, "actions")
    for action in ACTIONS:
        SubElement(actions, "action", action)
    ElementTree.indent(root)
    return HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def _parameter(parent: Element, name: str, option: settings.Option) -> None:
    attributes = {"name": name, "required": "0", "reloadable": "1" if option.reloadable else "0"}
    if name == "config":
        attributes["unique-group"] = "config"  # one helper per node: pcs objects to a second one with the same file
    parameter = SubElement(parent, "parameter", attributes)
    facts = [option.reason]
    if option.kind == "integer":
        facts.append(f"From {option.low:g} to {option.high:g} {option.unit}.")
    if option.choices:
        facts.append(f"Possible: {', '.join(option.choices)}.")
    if option.section:
        facts.append(f"Overrides {option.name} in section [{option.section}] of the configuration file.")
    _described(parameter, " ".join(facts), option.reason.partition(".")[0])
    kind = TYPES.get(option.kind, "string")
    SubElement(parameter, "content", {"type": kind, "default": option.text(option.default)})


def _described(parent: Element, long: str, short: str) -> None:
    SubElement(parent, "longdesc", lang="en").text = long
    SubElement(parent, "shortdesc", lang="en").text = short
