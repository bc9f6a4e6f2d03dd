"""A domain's XML without what it may hold of secrets, as it is kept and handed on."""

from __future__ import annotations

from xml.etree import ElementTree

from heartbeat.document import Element
from heartbeat.guest import BadDomain, parsed

HIDDEN = "removed"
# Attributes by their local names, wherever they stand: passwords of VNC and SPICE, and of sources that carry one.
ATTRIBUTES = frozenset({"passwd", "password", "passwdValidTo", "secret", "token"})
# Elements that go with all that is in them: what names or holds a key, what HTTP sources send along, what a guest
# trusts of its firmware, and what its user has handed in by other ways than the API.
ELEMENTS = frozenset({
    "secret", "auth", "cookies", "cookie", "password", "passphrase", "encryption", "dhCert", "session", "sysinfo",
    "identity", "sasl", "key",
})  # fmt: skip
# What is handed to QEMU, the kernel or the init of a container as it stands may be anything, so its values go.
OPAQUE = frozenset({"cmdline", "initarg", "initenv", "description"})
ADDRESSES = ("query", "name", "uri", "path", "file", "url", "dev")
VALUES = ("value", "content")
TELLING = ("pass", "secret", "token", "credential", "private")
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def redacted(xml: str) -> str:
    """The XML, ASCII, with `removed` in the place of whatever may be a secret. Raises BadDomain.

    Nova's owner, flavor and image stay: they say whom to ask. libvirt leaves out passwords by itself, unless it is
    asked for them, which it is not.
    """
    root = parsed(xml)
    _clean(root)
    try:
        return str(ElementTree.tostring(root, encoding="us-ascii", xml_declaration=False), "ascii") + "\n"
    except RecursionError:
        raise BadDomain("domain XML is nested too deeply") from None


def _clean(root: Element) -> None:
    # A list, since the tree changes under us; and never by recursion.
    for element in list(root.iter()):
        namespace, _, name = str(element.tag).rpartition("}")
        if name in ELEMENTS or namespace.strip("{") == QEMU or name in OPAQUE:
            _empty(element)
            continue
        for attribute in [it for it in element.attrib if str(it).rpartition("}")[2] in ATTRIBUTES]:
            element.set(attribute, HIDDEN)
        for attribute in [it for it in ADDRESSES if _carries(element.get(it) or "", it)]:
            element.set(attribute, HIDDEN)
        if any(word in f"{name} {element.get('name') or ''}".lower() for word in TELLING):
            # An entry of the flavor's or the image's, or of whoever else writes into metadata, by its name.
            for attribute in [it for it in element.attrib if it in VALUES]:
                element.set(attribute, HIDDEN)
            element.text = HIDDEN if element.text and element.text.strip() else element.text


def _carries(value: str, attribute: str) -> bool:
    """Whether an address holds more than a place: what stands before its @, and after its question mark. QEMU's json:
    is no address, but all that a disk's driver is told, and the older rbd: may have its key in it."""
    options = value.lstrip().startswith(("json:", "rbd:"))
    return bool(value) and (attribute == "query" or options or "?" in value or ("://" in value and "@" in value))


def _empty(element: Element) -> None:
    tail = element.tail
    element.clear()
    element.tail = tail
    element.text = HIDDEN
