"""What Nova wrote about an instance into its domain's metadata.

Flavor's extra specs and image's properties are in it since Nova 32 (2025.2); the flavor's and the server's name always
were. Nova has changed its namespace before, so elements are known by their local names. All of it may be a tenant's
text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from heartbeat.terms import KEY_LIMIT, NO_INSTANCE, Instance, wish

if TYPE_CHECKING:
    from heartbeat.document import Element

NAMESPACE = "http://openstack.org/xmlns/libvirt/nova/"  # and a version
# Quotas keep real ones far below; what stands behind these is not read.
MOST_ENTRIES, NAME_LIMIT = 1024, 255


def read(domain: Element) -> Instance:
    """What the metadata of a domain say; NO_INSTANCE where it is not Nova's."""
    found = next(
        (it for it in _children(domain.find("metadata")) if _local(it) == "instance" and NAMESPACE in _tag(it)), None
    )
    if found is None:
        return NO_INSTANCE
    flavor = _child(found, "flavor")
    image, name = _child(found, "image"), _child(found, "name")
    return Instance(
        "" if flavor is None else (flavor.get("name") or "")[:NAME_LIMIT],
        wish(_pairs(_child(flavor, "extraSpecs"), "extraSpec")),
        wish(_pairs(_child(image, "properties"), "property")),
        "" if name is None else (name.text or "").strip()[:NAME_LIMIT],
    )


def _pairs(parent: Element | None, name: str) -> Iterator[tuple[str, str]]:
    for element in islice(_children(parent), MOST_ENTRIES):
        key = element.get("name") or ""
        if _local(element) == name and len(key) <= KEY_LIMIT:
            yield key, element.text or ""


def _child(parent: Element | None, name: str) -> Element | None:
    return next((it for it in islice(_children(parent), MOST_ENTRIES) if _local(it) == name), None)


def _children(parent: Element | None) -> Iterator[Element]:
    return iter(()) if parent is None else iter(parent)


def _local(element: Element) -> str:
    return _tag(element).rpartition("}")[2]


def _tag(element: Element) -> str:
    return str(element.tag)
