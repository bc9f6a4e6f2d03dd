"""The table of metrics in prometheus_client's terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Callable, Union

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from heartbeat.metrics.table import COUNTER, FAMILIES, HISTOGRAM, Family
from heartbeat.snapshot import Snapshot
from heartbeat.tally import Distribution

Made = Union[CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily]
_KINDS = {COUNTER: CounterMetricFamily, HISTOGRAM: HistogramMetricFamily}


class Collector:
    """take: a snapshot, anew for each collection."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    def describe(self) -> list[Metric]:
        """For the registry, which wants the names and not the values."""
        return [_made(family) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        snapshot = self._take()
        for family in FAMILIES:
            made = _made(family)
            for labels, value in family.read(snapshot):
                if isinstance(value, Distribution):
                    made.add_metric(labels, _buckets(value), value.total)
                else:
                    made.add_metric(labels, float(value))
            if made.samples:
                yield made


def registry(take: Callable[[], Snapshot], process: bool) -> CollectorRegistry:
    """process: with prometheus_client's own metrics of this process. Not in a file for node_exporter, which has metrics
    of these names of its own and takes a second one for an error."""
    made = CollectorRegistry()
    made.register(Collector(take))
    if process:
        ProcessCollector(registry=made)
    return made


def _made(family: Family) -> Made:
    return _KINDS.get(family.kind, GaugeMetricFamily)(family.full, family.help, labels=list(family.labels))


def _buckets(it: Distribution) -> Sequence[tuple[str, float]]:
    """Cumulative, as the format wants them."""
    bounds = [*(f"{bound:g}" if bound != int(bound) else f"{bound:.1f}" for bound in it.bounds), "+Inf"]
    return list(zip(bounds, accumulate(it.counts)))
