"""CloudWatch: metrics by PutMetricData, batched, and as embedded metric format on standard output.

Durations go out as value-count pairs of their buckets, so that CloudWatch's percentiles are the same as ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from cito.observability.catalog import CATALOG, REQUESTS, Instrument
from cito.observability.exporters.aws import session
from cito.observability.exporters.cloudwatch_sums import sums
from cito.observability.exporters.periodic import Delivery
from cito.observability.histogram import Histogram
from cito.observability.metrics import Labels, Slice

_MOST_DATA = 500  # of a request; the service takes 1,000 and 1 MB
_MOST_VALUES = 150  # of one datum
_EMF_MOST_VALUES = 100  # of one metric in a line
_UNITS = {"s": "Milliseconds", "By": "Bytes", "1": "None"}
_SHORT = {
    "cito.cache.outcome": "Cache",
    "cito.operation": "Operation",
    "http.request.method": "Method",
    "http.response.status_code": "Status",
}


class PutMetricData:
    """Sends metrics to CloudWatch's own API.

    Args:
        namespace: of the metrics.
        region: of the service.
        bounds: of the histograms.
        url: another endpoint than the region's; None: the region's.
    """

    name = "cloudwatch"

    def __init__(self, namespace: str, region: str, bounds: tuple[int, ...], url: str | None = None) -> None:
        self._namespace = namespace
        self._bounds = bounds
        self._client = session().create_client("cloudwatch", region_name=region, endpoint_url=url)

    def deliver(self, counted: Slice, until: float, timeout_seconds: float | None) -> Delivery:
        """Send what was counted; see `periodic.Destination`."""
        del timeout_seconds  # botocore's own, 60 s; the thread is a daemon
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

        data = list(metric_data(counted, self._bounds, until))
        sent = 0
        try:
            for start in range(0, len(data), _MOST_DATA):
                batch = data[start : start + _MOST_DATA]
                self._client.put_metric_data(Namespace=self._namespace, MetricData=batch)
                sent += len(batch)
        except (BotoCoreError, ClientError):
            # Once a batch has arrived, repeating the whole would count it twice: the rest is let go.
            return Delivery(exported=sent, lost=len(data) - sent) if sent else Delivery(again=True)
        return Delivery(exported=sent)

    def close(self) -> None:
        """Let connections go."""
        self._client.close()


def metric_data(counted: Slice, bounds: tuple[int, ...], at: float) -> Iterator[dict[str, Any]]:
    """Yield the data of a PutMetricData request; durations in ms."""
    timestamp = datetime.fromtimestamp(at, UTC)
    for instrument, labels, histogram in _histograms(counted):
        values = weighted(histogram, bounds)
        head = {
            "MetricName": instrument.name,
            "Dimensions": dimensions(instrument, labels),
            "Timestamp": timestamp,
            "Unit": "Milliseconds",
        }
        for start in range(0, len(values), _MOST_VALUES):
            part = values[start : start + _MOST_VALUES]
            yield {**head, "Values": [v for v, _ in part], "Counts": [float(n) for _, n in part]}
    for instrument, labels, value in _numbers(counted):
        yield {
            "MetricName": instrument.name,
            "Dimensions": dimensions(instrument, labels),
            "Timestamp": timestamp,
            "Unit": _UNITS.get(instrument.unit, "Count"),
            "Value": value * 1e3 if instrument.unit == "s" else value,
        }


class EmbeddedMetrics:
    """Writes metrics as embedded metric format: one JSON object a line, which CloudWatch Logs turns into metrics."""

    name = "emf"

    def __init__(self, namespace: str, bounds: tuple[int, ...], stream: TextIO | None = None) -> None:
        self._namespace = namespace
        self._bounds = bounds
        self._stream = stream or sys.stdout

    def deliver(self, counted: Slice, until: float, timeout_seconds: float | None) -> Delivery:
        """Write what was counted; see `periodic.Destination`."""
        del timeout_seconds
        lines = list(embedded(counted, self._namespace, self._bounds, until))
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()
        return Delivery(exported=len(lines))

    def close(self) -> None:
        """Nothing to let go: the stream is the process's."""


def embedded(counted: Slice, namespace: str, bounds: tuple[int, ...], at: float) -> Iterator[str]:
    """Yield the lines of embedded metric format, a line for each series.

    A histogram is an object of values and their counts, as AWS's own collector (`awsemfexporter`) writes them.
    """
    for instrument, labels, histogram in _histograms(counted):
        values = weighted(histogram, bounds)
        for start in range(0, len(values), _EMF_MOST_VALUES):
            part = values[start : start + _EMF_MOST_VALUES]
            value = {
                "Values": [v for v, _ in part],
                "Counts": [n for _, n in part],
                "Max": max(v for v, _ in part),
                "Min": min(v for v, _ in part),
                "Count": sum(n for _, n in part),
                "Sum": round(sum(v * n for v, n in part), 4),
            }
            yield _line(instrument, labels, value, unit="Milliseconds", namespace=namespace, at=at)
    for instrument, labels, number in _numbers(counted):
        scaled = number * 1e3 if instrument.unit == "s" else number
        unit = _UNITS.get(instrument.unit, "Count")
        yield _line(instrument, labels, scaled, unit=unit, namespace=namespace, at=at)


def weighted(histogram: Histogram, bounds: tuple[int, ...]) -> list[tuple[float, int]]:
    """Return (value in ms, count) for each bucket: its middle, within what was seen."""
    pairs = []
    for position, count in sorted(histogram.buckets.items()):
        low = bounds[position - 1] if position else 0
        high = bounds[position] if position < len(bounds) else histogram.most
        middle = min(max((low + high) / 2, histogram.least), histogram.most)
        pairs.append((round(middle / 1e6, 4), count))
    return pairs


def dimensions(instrument: Instrument, labels: Labels) -> list[dict[str, str]]:
    """Return the dimensions of a series: `Operation` and other names as CloudWatch users write them."""
    return [
        {"Name": _SHORT.get(name, name), "Value": str(value)}
        for name, value in zip(instrument.labels, labels, strict=True)
        if value != "" and name != "http.route"
    ]


def _histograms(counted: Slice) -> Iterator[tuple[Instrument, Labels, Histogram]]:
    for metric, series in counted.histograms.items():
        for labels, histogram in series.items():
            yield CATALOG[metric], labels, histogram
    # An operation's alarm looks at all its answers together: one series with the Operation alone.
    together: dict[str, Histogram] = {}
    for labels, histogram in counted.labelled(REQUESTS).items():
        together.setdefault(str(labels[0]), Histogram()).merge(histogram)
    for operation, histogram in together.items():
        yield CATALOG[REQUESTS], (operation, "", "", "", ""), histogram


def _numbers(counted: Slice) -> Iterator[tuple[Instrument, Labels, float]]:
    yield from sums(counted)
    for values in (counted.counters, counted.gauges):
        for metric, series in values.items():
            for labels, value in series.items():
                yield CATALOG[metric], labels, value


def _line(
    instrument: Instrument, labels: Labels, value: object, *, unit: str, namespace: str, at: float
) -> str:
    named = {pair["Name"]: pair["Value"] for pair in dimensions(instrument, labels)}
    line = {
        "_aws": {
            "Timestamp": int(at * 1e3),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [list(named)],
                    "Metrics": [{"Name": instrument.name, "Unit": unit}],
                }
            ],
        },
        **named,
        instrument.name: value,
    }
    return msgspec.json.encode(line).decode()
