"""A node and its surroundings above the table of its guests: a line for everything, or what is wrong alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qga_ra import holds, table
from qga_ra.terminal import BAD, BOLD, DIM, WARN, Line, cut, plain, record, records

Reply = Mapping[str, Any]


def header(reply: Reply) -> list[str]:
    """The node and its surroundings, a line each."""
    libvirt = record(reply.get("libvirt"))
    lines = [
        f"node      {plain(reply.get('node'))}, known to Masakari as {plain(reply.get('hostname'))}",
        f"state     {plain(reply.get('state'), 200)} (helper {plain(reply.get('version'))})",
        f"libvirt   {_connection(libvirt)}",
    ]
    for backend in records(reply.get("backends")):
        lines.append(f"backend   {_backend(backend)}")
    if nova := record(reply.get("nova")):
        heard = f"heard {plain(nova.get('heard'))}{because(nova)}"
        lines.append(f"nova      {plain(nova.get('servers'))} servers here, {heard}")
        lines += [f"nova      {_difference(it)}" for it in records(nova.get("differences"))]
    fitness = record(reply.get("fitness"))
    if fitness.get("able") is False:
        lines.append(f"fitness   no guest is judged: {plain(fitness.get('why'), 200)}")
    if (stretch := fitness.get("stretch")) not in (None, 1, 1.0):
        lines.append(f"fitness   this host is slow: every time of silence x {plain(stretch)}")
    lines += [f"hold      {holds.line(hold)}" for hold in records(reply.get("holds"))]
    return lines + [f"attention {text}" for text in _humans(reply)]


def notices(reply: Reply) -> list[Line]:
    """What is wrong beside the guests, and what is held, the worst first; nothing of what is well."""
    libvirt, fitness, nova = (record(reply.get(name)) for name in ("libvirt", "fitness", "nova"))
    found: list[tuple[str, str]] = []
    if libvirt.get("connected") is not True:
        found.append((f"libvirt   {_connection(libvirt)}", BAD))
    found += [(f"attention {text}", BAD) for text in _humans(reply)]
    if fitness.get("able") is False:
        found.append((f"fitness   no guest is judged: {plain(fitness.get('why'), 200)}", BAD))
    for backend in records(reply.get("backends")):
        if backend.get("error") or backend.get("pending"):
            found.append((f"backend   {_backend(backend)}", WARN))
    if nova.get("error"):
        found.append((f"nova      heard {plain(nova.get('heard'))}{because(nova)}", WARN))
    found += [(f"nova      {_difference(it)}", WARN) for it in records(nova.get("differences"))]
    if (stretch := fitness.get("stretch")) not in (None, 1, 1.0):
        found.append((f"fitness   this host is slow: every time of silence x {plain(stretch)}", WARN))
    found += [(f"hold      {holds.line(hold)}", WARN) for hold in records(reply.get("holds"))]
    return [[piece] for piece in found]


def frame(reply: Reply | None, trouble: str, old: float, width: int, height: int, now: str) -> list[Line]:
    """A screen full: at most `height` lines of at most `width` columns.

    reply: the last one, None before the first. trouble: why there is no newer one, "" if there is. old: seconds since
    that reply. now: UTC in ISO 8601, for a helper that does not say it.
    """
    clock = f"{plain(now)[11:19]}Z"
    if reply is None:
        lines = [_title("masakari-qga", BOLD, clock, width)]
        return [*lines, *_wrapped(trouble or "asking the helper", width, BAD if trouble else "")][:height]
    state, guests = plain(reply.get("state"), 200), records(reply.get("guests"))
    title = f"{plain(reply.get('node') or reply.get('hostname'))}  {state}"
    top = [_title(title, BOLD if state == "ok" else BAD, clock, width)]
    if trouble:
        top += _wrapped(f"{trouble}; below is what it said {old:.0f} s ago", width, BAD)[: max(height // 3, 1)]
    top.append([(f"{len(guests)} guests" + (f": {table.counted(guests)}" if guests else ""), "")])
    wrong, room = notices(reply), height // 4
    if len(wrong) > room > 0:
        wrong = [*wrong[: room - 1], [(f"and {len(wrong) - room + 1} more lines: masakari-qga status", BOLD)]]
    top = [cut(line, width) for line in [*top, *wrong[:room]]]
    top += [[]] if height >= 10 else []
    said = reply.get("time")
    below = table.fitted(guests, width, max(height - len(top), 0), said if isinstance(said, str) else now)
    if trouble:
        below = [[(text, DIM) for text, _ in line] for line in below]
    return [*top, *below][:height]


def because(part: Reply) -> str:
    return f": {plain(part['error'], 200)}" if part.get("error") else ""


def _title(text: str, look: str, clock: str, width: int) -> Line:
    """The clock stands on the right, as long as there is room for both."""
    left = width - len(clock) - 2
    if left < 8:
        return cut([(text, look)], width)
    line = cut([(text, look)], left)
    used = sum(len(piece) for piece, _ in line)
    return [*line, (" " * (width - used - len(clock)), ""), (clock, "")]


def _wrapped(text: str, width: int, look: str) -> list[Line]:
    """All of it: a remedy comes last."""
    made, words = [""], plain(text, 1000).split(" ")
    for word in words:
        longer = f"{made[-1]} {word}".strip()
        if len(longer) <= width:
            made[-1] = longer
        else:
            made += [word[:width]]
    return [[(line, look)] for line in made if line]


def _connection(libvirt: Reply) -> str:
    word = "connected" if libvirt.get("connected") is True else "not connected"
    return f"{word} since {plain(libvirt.get('since'))}{because(libvirt)}"


def _backend(backend: Reply) -> str:
    counts = f"{plain(backend.get('delivered'))} delivered, {plain(backend.get('pending'))} pending"
    return f"{plain(backend.get('name'))}: {counts}{because(backend)}"


def _difference(it: Reply) -> str:
    return f"guest {plain(it.get('uuid'))}: {table.reported(it)}"


def _humans(reply: Reply) -> Iterator[str]:
    """Who needs one, and what keeps others waiting for one."""
    if held := record(reply.get("checks")).get("held"):
        yield f"nobody is recovered because of a health check: {plain(held, 200)}"
    suspended = sum(table.suspended(guest) for guest in records(reply.get("guests")))
    if suspended:
        yield f"{suspended} guests were recovered too often and need a human; marked below"
    lost = reply.get("lost")
    if isinstance(lost, list) and lost:
        shown = ", ".join(plain(uuid, 36) for uuid in lost[:5])
        yield f"{len(lost)} guests were not recovered and need a human: {shown}"
