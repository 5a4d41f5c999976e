"""The exposition that Prometheus scrapes: OpenMetrics 1.0 with exemplars, or the older text format.

One answer covers all processes of the node, each with its own label `worker`: a restarted worker restarts
its own series only, which `rate()` understands, and no sum over workers ever goes down by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cito.observability.catalog import CATALOG, Instrument
from cito.observability.histogram import Histogram
from cito.observability.metrics import Labels, Slice

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
_NS = 1_000_000_000


def exposed_bounds(bounds: tuple[int, ...], targets_ms: frozenset[float]) -> tuple[int, ...]:
    """Return the bounds that are exposed: 1, 2.5 and 5 of each decade, and the targets."""
    targets = {round(ms * 1_000_000) for ms in targets_ms}
    return tuple(b for b in bounds if b in targets or str(b).rstrip("0") in {"1", "25", "5"})


def expose(
    totals: Mapping[int, Slice],
    bounds: tuple[int, ...],
    exposed: tuple[int, ...],
    *,
    openmetrics: bool = True,
) -> str:
    """Return the text of all series.

    Args:
        totals: what each process has counted since it started, by its slot.
        bounds: of the histograms.
        exposed: those that become `le` buckets.
        openmetrics: with units and exemplars, else the older format.
    """
    lines: list[str] = []
    for metric, instrument in CATALOG.items():
        samples: list[str] = []
        for slot, total in totals.items():
            if instrument.kind == "histogram":
                for labels, histogram in sorted(total.labelled(metric).items(), key=str):
                    pairs = _labels(instrument, labels, slot)
                    found = _histogram(instrument.prometheus, pairs, histogram, bounds, exposed)
                    samples += found if openmetrics else (line.split(" # ")[0] for line in found)
            else:
                samples += _samples(instrument, metric, slot, total)
        if samples:
            lines += [*_head(instrument, openmetrics), *samples]
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _head(instrument: Instrument, openmetrics: bool) -> Iterator[str]:
    name = instrument.prometheus
    family = name if openmetrics or instrument.kind != "counter" else f"{name}_total"
    yield f"# TYPE {family} {instrument.kind}"
    unit = name.rpartition("_")[2]
    if openmetrics and unit in {"seconds", "bytes", "ratio"}:
        yield f"# UNIT {family} {unit}"
    yield f"# HELP {family} {instrument.help}"


def _samples(instrument: Instrument, metric: str, slot: int, total: Slice) -> Iterator[str]:
    values: Mapping[Labels, float] = {}
    if instrument.kind == "counter":
        values = total.counters.get(metric, {})
    elif instrument.kind == "gauge":
        values = total.gauges.get(metric, {})
    name = instrument.prometheus + ("_total" if instrument.kind == "counter" else "")
    for labels, value in sorted(values.items(), key=str):
        yield f"{name}{{{_labels(instrument, labels, slot)}}} {value:.10g}"


def _histogram(
    name: str, labels: str, histogram: Histogram, bounds: tuple[int, ...], exposed: tuple[int, ...]
) -> Iterator[str]:
    """Yield cumulative buckets, an exemplar behind those that have one, then sum and count."""
    counts = sorted(histogram.buckets.items(), reverse=True)
    seen = 0
    for limit in (*exposed, None):
        exemplar = ""
        while counts and (limit is None or (counts[-1][0] < len(bounds) and bounds[counts[-1][0]] <= limit)):
            position, count = counts.pop()
            seen += count
            if found := histogram.exemplars.get(position):
                exemplar = f' # {{trace_id="{found.trace_id}"}} {found.value_ns / _NS:.9g} {found.at:.3f}'
        le = "+Inf" if limit is None else repr(limit / _NS)
        yield f'{name}_bucket{{{labels},le="{le}"}} {seen}{exemplar}'
    yield f"{name}_sum{{{labels}}} {histogram.total / _NS:.9f}"
    yield f"{name}_count{{{labels}}} {histogram.count}"


def _labels(instrument: Instrument, values: Labels, slot: int) -> str:
    pairs = [
        f'{label.replace(".", "_")}="{_escaped(value)}"'
        for label, value in zip(instrument.labels, values, strict=True)
        if value != ""
    ]
    return ",".join([*pairs, f'worker="{slot}"'])


def _escaped(value: str | int) -> str:
    return str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
