"""The machine on which it was measured, since absolute numbers mean nothing without it."""
from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from tests.harness.cluster import PATH


def describe() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    facts = {
        "machine": f"{os.cpu_count()} cores, {model.group(1) if model else platform.machine()}",
        "memory": f"{int(memory.group(1)) >> 20} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "libvirt": f"{_version('/usr/sbin/libvirtd')}, QEMU {_version('qemu-system-x86_64')}",
        "others": f"{_first('pacemakerd', '--version')}, {_first('/usr/bin/python3', '--version')}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " before, over 1, 5 and 15 minutes",
    }
    return "\n".join(f"{name:<9}{fact}" for name, fact in facts.items())


def _version(program: str) -> str:
    found = re.search(r"\d+(\.\d+)+", _first(program, "--version"))
    return found.group() if found else "unknown"


def _first(*command: str) -> str:
    return subprocess.run(command, env=PATH, capture_output=True, text=True, timeout=60).stdout.split("\n")[0]
