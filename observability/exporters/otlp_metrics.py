"""Metrics over OTLP: deltas or totals, as the receiving side prefers."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from cito.observability.exporters.http import Endpoint
from cito.observability.exporters.otlp import metric_request
from cito.observability.exporters.periodic import Delivery
from cito.observability.metrics import Slice


class OtlpMetrics:
    """Posts metrics to an OTLP endpoint.

    Args:
        endpoint: where.
        bounds: of the histograms.
        resource: attributes of this process.
        delta: send what was counted since the last delivery, else since the process started.
    """

    name = "otlp_metrics"

    def __init__(
        self, endpoint: Endpoint, bounds: tuple[int, ...], resource: Mapping[str, str], *, delta: bool
    ) -> None:
        self._endpoint = endpoint
        self._bounds = bounds
        self._resource = resource
        self._delta = delta
        self._total = Slice()

    def deliver(self, counted: Slice, until: float, timeout_seconds: float | None) -> Delivery:
        """Send what was counted; see `periodic.Destination`."""
        sent = counted
        if not self._delta:
            sent = Slice(start=self._total.start or counted.start)
            sent.merge(self._total)
            sent.merge(counted)
        body, points = metric_request(sent, self._bounds, self._resource, until=until, delta=self._delta)
        if not points:
            return Delivery()
        headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
        outcome = self._endpoint.post(gzip.compress(body, compresslevel=1), headers, timeout_seconds)
        if outcome.retry:
            return Delivery(again=True)
        self._total = sent  # what is refused for good would be refused again
        return Delivery(exported=points) if outcome.taken else Delivery(lost=points)

    def close(self) -> None:
        """Let the connection go."""
        self._endpoint.close()
