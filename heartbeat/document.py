"""XML that others wrote, read as such: nothing in it is fetched, expanded or guessed.

With what Python has: lxml would be the largest part of a helper at rest, for documents that need neither its schemas
nor its paths.
"""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

__all__ = ("BadDocument", "Element", "read")


class BadDocument(ValueError):
    """A document that is not to be used. The text says why, for people."""


class _Builder(TreeBuilder):
    """Comments and instructions are passed over, as TreeBuilder does."""

    def doctype(self, *_: object) -> NoReturn:
        """Said before anything that it defines is used."""
        raise BadDocument("has a DOCTYPE")


def read(xml: str | bytes, limit: int) -> Element:
    """The root of a document of at most so many characters, or bytes. Raises BadDocument."""
    if len(xml) > limit:
        raise BadDocument(f"of {len(xml)} characters, more than {limit}")
    parser = XMLParser(target=_Builder())
    try:
        parser.feed(xml.encode() if isinstance(xml, str) else xml)
        root: Element = parser.close()
    except (ParseError, UnicodeError, ValueError) as error:
        if isinstance(error, BadDocument):
            raise
        raise BadDocument(f"is malformed: {type(error).__name__}") from None
    return root
