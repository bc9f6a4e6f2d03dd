"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

OK, NOTE, WARNING, FAILED = "ok", "note", "warning", "failed"


class Finding(NamedTuple):
    """level: OK, NOTE (nothing is wrong, somebody may want to know), WARNING (it works, worse than it could) or FAILED.
    step: what was looked at, a word. text: what was found. remedy: what an operator can do; "": nothing is to be done.
    code: OCF's, of a FAILED one, for an agent's validate-all."""

    level: str
    step: str
    text: str
    remedy: str = ""
    code: int = 0
