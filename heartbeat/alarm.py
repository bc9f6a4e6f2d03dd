"""Times at which something is due, one for each name. `now` and all times are monotonic seconds, given by the
caller."""

from __future__ import annotations

import heapq

NEVER = float("inf")


class Alarms:
    """A heap in which an entry that was moved or dropped stays until it comes to the top, and is then ignored."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def set(self, name: str, at: float) -> None:
        """Due at this time instead of any earlier wish; NEVER drops it."""
        if at == NEVER:
            self._at.pop(name, None)
        elif self._at.get(name) != at:
            self._at[name] = at
            heapq.heappush(self._heap, (at, name))

    def drop(self, name: str) -> None:
        self._at.pop(name, None)

    def at(self, name: str) -> float:
        """When this name is due; NEVER if it is not set."""
        return self._at.get(name, NEVER)

    def next_at(self) -> float:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER

    def before(self, time: float) -> frozenset[str]:
        """The names that are due before this time; walks all of them only if there is one."""
        return frozenset(name for name, at in self._at.items() if at < time) if self.next_at() < time else frozenset()

    def take(self, now: float) -> str | None:
        """The name that has been due for longest, or None. It is set no more."""
        if self.next_at() > now:
            return None
        name = heapq.heappop(self._heap)[1]
        del self._at[name]
        return name
