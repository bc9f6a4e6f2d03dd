"""What each witness has said about a silent guest, with its numbers, for people and programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from heartbeat.watch import Watch
from heartbeat.witness import Sample, Slices, hear

THREADS_SHOWN = 16  # lines; a guest may have hundreds of vCPUs


def facts(watch: Watch, now: float) -> dict[str, Any] | None:
    """The witnesses over the window of the guest's silence, None where none was called. JSON.

    Shares are of one core; ages and the window are seconds. With a single look there is nothing to compare, and
    nothing is said.
    """
    first, last = watch.first, watch.last
    if first is None or last is None:
        return None
    found: dict[str, Any] = {
        "looked": round(now - last.at, 1),
        "window": round(last.at - first.at, 1),
        "process": last.process,
        "monitor": "stuck" if last.stuck else "answered" if last.monitor else "not heard",
        "job": last.job,
    }
    if first is last:
        return found
    unanswered = None if watch.answered is None else first.at - watch.answered
    said = hear(first, last, watch.guest.balloon_period, unanswered, watch.steady)
    age = round(last.wall - last.balloon, 1) if last.balloon else None
    advanced = bool(first.monitor and last.monitor and last.balloon > first.balloon)
    period = watch.guest.balloon_period
    found["kernel"] = {"says": said.kernel.value, "age": age, "advanced": advanced, "period": period}
    found["disk"] = {"says": said.disk.value, "requests": last.disk - first.disk}
    found["net"] = {"says": said.net.value, "packets": last.net - first.net}
    found["vcpu"] = {"says": said.cpu.value, "threads": dict(_threads(first, last))}
    return found


def lines(found: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """The same as (heading, text) pairs."""
    if found is None:
        yield "witnesses", "not called: only a guest that does not answer needs any"
        return
    window = f"{found['window']:.1f} s"
    state, job = found["process"] or "not found", f", job: {found['job']}" if found["job"] else ""
    yield "qemu", f"process state {state}, monitor {found['monitor']}{job}, looked at {found['looked']:.1f} s ago"
    if "vcpu" not in found:
        yield "witnesses", "looked at once: nothing to compare yet"
        return
    heard = found["monitor"] == "answered"
    yield "kernel", f"{found['kernel']['says']}: {_stamp(found['kernel'], window) if heard else _unheard(found)}"
    for name, counted, what in (("disk", "requests", "requests begun"), ("net", "packets", "packets sent")):
        text = f"{found[name][counted]} {what} in {window}" if heard else _unheard(found)
        yield name, f"{found[name]['says']}: {text}"
    threads = found["vcpu"]["threads"]
    yield "vcpu", f"{found['vcpu']['says']} over {window}, {len(threads)} threads"
    for number, thread in list(threads.items())[:THREADS_SHOWN]:
        shares = f"ran {thread['ran']:.1%}, waited {thread['waited']:.1%}, {thread['slices']:.1f} slices/s"
        yield "", f"thread {number}: {shares}, state {thread['state']}"
    if len(threads) > THREADS_SHOWN:
        yield "", f"and {len(threads) - THREADS_SHOWN} more threads"


def _stamp(kernel: Mapping[str, Any], window: str) -> str:
    if kernel["age"] is None:
        return "the guest's balloon driver has never reported"
    advanced = "advanced" if kernel["advanced"] else "did not advance"
    return f"its balloon stamp is {kernel['age']:.1f} s old, every {kernel['period']} s, and {advanced} in {window}"


def _unheard(found: Mapping[str, Any]) -> str:
    return f"QEMU's monitor: {found['monitor']}"


def _threads(first: Sample, last: Sample) -> Iterator[tuple[str, dict[str, Any]]]:
    window = last.at - first.at
    for thread in sorted(first.cpus.keys() & last.cpus.keys()):
        old, new = first.cpus[thread], last.cpus[thread]
        ran, waited, got = (after - before for before, after in zip(_counters(old), _counters(new)))
        yield str(thread), {
            "ran": round(ran / 1e9 / window, 4),
            "waited": round(waited / 1e9 / window, 4),
            "slices": round(got / window, 2),
            "state": new.state,
        }


def _counters(slices: Slices) -> tuple[int, int, int]:
    return slices.ran, slices.waited, slices.got
