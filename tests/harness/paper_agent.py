"""What the agent of a guest on paper does with commands, as the real one's replies come out of libvirt."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable

from heartbeat.health.replies import Reply
from heartbeat.probe import Answer

COMMANDS = ("guest-info", "guest-sync", "guest-exec", "guest-exec-status", "guest-get-vcpus")


@dataclass
class PaperAgent:
    """application: what a program that is run in the guest ends with, at the second at which it is begun: its exit code
    and its output. takes: seconds until it exits. disabled: commands that the agent does not allow; mute: that it does
    not answer. said: the commands that it was given, in order, with their times. running: process -> when it was begun.
    """

    application: Callable[[float], tuple[int, str]] = lambda _: (0, "fine")
    takes: float = 0.0
    disabled: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()
    said: list[tuple[str, float]] = field(default_factory=list)
    running: dict[int, float] = field(default_factory=dict)
    begun: int = 0

    def reply(self, execute: str, arguments: Mapping[str, object], now: float) -> Reply:
        self.said.append((execute, now))
        if execute not in COMMANDS:
            return _refused(execute, f"The command {execute} has not been found")
        if execute in self.disabled:
            return _refused(execute, f"Command {execute} has been disabled: the command is not allowed")
        if execute == "guest-info":
            enabled = {name: name not in self.disabled for name in COMMANDS}
            listed = [{"name": name, "enabled": it, "success-response": True} for name, it in enabled.items()]
            return Reply(Answer.ALIVE, {"version": "7.2.22", "supported_commands": listed})
        if execute == "guest-sync":
            return Reply(Answer.ALIVE, arguments["id"])
        if execute == "guest-get-vcpus":
            return Reply(Answer.ALIVE, [{"logical-id": 0, "online": True, "can-offline": False}])
        if execute == "guest-exec":
            self.begun += 1
            self.running[1000 + self.begun] = now
            return Reply(Answer.ALIVE, {"pid": 1000 + self.begun})
        return self._status(int(str(arguments["pid"])), now)

    def _status(self, process: int, now: float) -> Reply:
        if process not in self.running:
            return _refused("guest-exec-status", "Invalid parameter 'pid'")
        if now < self.running[process] + self.takes:
            return Reply(Answer.ALIVE, {"exited": False})
        code, text = self.application(self.running.pop(process))
        said = {"out-data": base64.b64encode(text.encode()).decode()} if text else {}
        return Reply(Answer.ALIVE, {"exited": True, "exitcode": code, **said})


def _refused(execute: str, why: str) -> Reply:
    text = f"internal error: unable to execute QEMU agent command '{execute}': {why}"
    return Reply(Answer.GARBLED, None, text)
