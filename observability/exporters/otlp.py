"""OTLP protobuf messages from slices; the messages themselves are OpenTelemetry's own package."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from cito.observability.catalog import CATALOG, Instrument
from cito.observability.histogram import Histogram
from cito.observability.metrics import Labels, Slice

_NS = 1_000_000_000
SCOPE = InstrumentationScope(name="cito")
DELTA, CUMULATIVE = m.AGGREGATION_TEMPORALITY_DELTA, m.AGGREGATION_TEMPORALITY_CUMULATIVE


def metric_request(
    counted: Slice, bounds: tuple[int, ...], resource: Mapping[str, str], *, until: float, delta: bool
) -> tuple[bytes, int]:
    """Return an encoded export request with all series of a slice, and how many points it has.

    Args:
        counted: what was counted since `counted.start`.
        bounds: of its histograms.
        resource: attributes of the process.
        until: seconds since the epoch.
        delta: counts since the last export, else since the start of the process.
    """
    temporality = DELTA if delta else CUMULATIVE
    span = (int(counted.start * _NS), int(until * _NS))
    metrics = []
    points = 0
    for instrument in CATALOG.values():
        found = _metric(instrument, counted, bounds, span, temporality)
        if found is not None:
            metric, count = found
            metrics.append(metric)
            points += count
    request = ExportMetricsServiceRequest(
        resource_metrics=[
            m.ResourceMetrics(
                resource=Resource(attributes=attributes_of(resource)),
                scope_metrics=[m.ScopeMetrics(scope=SCOPE, metrics=metrics)],
            )
        ]
    )
    return request.SerializeToString(), points


def _metric(
    instrument: Instrument,
    counted: Slice,
    bounds: tuple[int, ...],
    span: tuple[int, int],
    temporality: m.AggregationTemporality.ValueType,
) -> tuple[m.Metric, int] | None:
    name = instrument.name
    metric = m.Metric(name=name, unit=instrument.unit, description=instrument.help)
    if instrument.kind == "histogram":
        filled = counted.labelled(name)
        points = [_points(instrument, labels, h, bounds, span) for labels, h in filled.items()]
        metric.histogram.CopyFrom(m.Histogram(data_points=points, aggregation_temporality=temporality))
        return (metric, len(points)) if points else None
    values = (counted.counters if instrument.kind == "counter" else counted.gauges).get(name, {})
    numbers = [
        m.NumberDataPoint(
            attributes=attributes_of(_named(instrument, labels)),
            start_time_unix_nano=span[0] if instrument.kind == "counter" else 0,
            time_unix_nano=span[1],
            as_double=value,
        )
        for labels, value in values.items()
    ]
    if not numbers:
        return None
    if instrument.kind == "counter":
        metric.sum.CopyFrom(
            m.Sum(data_points=numbers, aggregation_temporality=temporality, is_monotonic=True)
        )
    else:
        metric.gauge.CopyFrom(m.Gauge(data_points=numbers))
    return metric, len(numbers)


def _points(
    instrument: Instrument,
    labels: Labels,
    histogram: Histogram,
    bounds: tuple[int, ...],
    span: tuple[int, int],
) -> m.HistogramDataPoint:
    return m.HistogramDataPoint(
        attributes=attributes_of(_named(instrument, labels)),
        start_time_unix_nano=span[0],
        time_unix_nano=span[1],
        count=histogram.count,
        sum=histogram.total / _NS,
        min=max(histogram.least, 0) / _NS,
        max=histogram.most / _NS,
        bucket_counts=[histogram.buckets.get(position, 0) for position in range(len(bounds) + 1)],
        explicit_bounds=[bound / _NS for bound in bounds],
        exemplars=[
            m.Exemplar(
                trace_id=bytes.fromhex(found.trace_id),
                time_unix_nano=int(found.at * _NS),
                as_double=found.value_ns / _NS,
            )
            for found in histogram.exemplars.values()
        ],
    )


def _named(instrument: Instrument, labels: Labels) -> dict[str, str | int]:
    return {name: value for name, value in zip(instrument.labels, labels, strict=True) if value != ""}


def attributes_of(values: Mapping[str, str | int]) -> list[KeyValue]:
    """Return attributes as OpenTelemetry's messages."""
    return [
        KeyValue(
            key=key,
            value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value),
        )
        for key, value in values.items()
    ]
