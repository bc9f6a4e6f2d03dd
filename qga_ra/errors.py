"""The ways in which an action fails: an exit code of OCF's, and one line that tells whoever is woken what to do."""

from __future__ import annotations

SUCCESS = 0
GENERIC = 1  # restart it, or with stop: fence
ARGUMENTS = 2  # wrong on this node: the configuration file
UNIMPLEMENTED = 3
PERMISSION = 4
INSTALLED = 5  # something that we need is not installed here
CONFIGURED = 6  # wrong on every node: a parameter
NOT_RUNNING = 7

LONGEST = 128  # bytes: Pacemaker up to 3.0 cuts the reason there, unasked
PREFIX = "ocf-exit-reason:"


class Failure(Exception):
    """An action ends here. code is the exit code, reason is one ASCII line of at most LONGEST bytes."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, bounded(reason)
        super().__init__(self.reason)


def bounded(text: str, longest: int = LONGEST) -> str:
    """The text as one line of printable ASCII. Too long, it loses its middle: cause stands first and remedy last."""
    line = " ".join(text.split())
    line = "".join(sign if " " <= sign <= "~" else "?" for sign in line)
    if len(line) <= longest:
        return line
    tail = longest // 3
    return f"{line[: longest - tail - 3]}...{line[-tail:]}"
