"""How much of the time work on this host had to wait: the kernel's pressure stall information."""

from __future__ import annotations

from typing import NamedTuple


class Pressure(NamedTuple):
    """Per cent of the last 10 s. cpu: some task waited; memory, io: nothing else could run meanwhile."""

    cpu: float
    memory: float
    io: float


def read(proc: str = "/proc") -> Pressure:
    """0 for what the kernel does not tell: before 4.20, or booted without psi=1 on some distributions."""
    return Pressure(_avg10(proc, "cpu", b"some"), _avg10(proc, "memory", b"full"), _avg10(proc, "io", b"full"))


def _avg10(proc: str, resource: str, kind: bytes) -> float:
    try:
        # Opening may fail as well as reading: with psi=0 the files exist and give EOPNOTSUPP.
        with open(f"{proc}/pressure/{resource}", "rb", buffering=0) as file:  # each second: no text layer for it
            lines = file.read(4096).splitlines()
    except OSError:
        return 0.0
    for line in lines:
        fields = line.split()
        if fields[:1] == [kind]:
            try:
                return float(dict(field.split(b"=", 1) for field in fields[1:])[b"avg10"])
            except (KeyError, ValueError):
                return 0.0
    return 0.0
