"""A server that takes OTLP over HTTP and keeps what it got; it can answer 503, hang, or cut connections."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .answering import Handler, answering


class Collector:
    """What arrived, by path; `mode` is ok, unavailable, refuse, hang or kill."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.retry_after = ""  # said when it is unavailable
        self.bodies: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[bytes] = []  # bodies as they were sent, packed
        self.released = threading.Event()
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(b) for path, b in self.bodies if path.endswith("traces")]

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> list[Metric]:
        return [
            metric
            for path, body in self.bodies
            if path.endswith("metrics")
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()

    class Taking(Handler):
        def take(self, body: bytes) -> None:
            raw = body
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if found.mode == "hang":
                found.released.wait(30)
                self.close_connection = True
                return
            if found.mode == "kill":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if found.mode == "ok":
                found.bodies.append((self.path, body))
                found.raw.append(raw)
                found.headers.append({key.lower(): value for key, value in self.headers.items()})
            if found.mode == "unavailable":
                self.answer(503, found.retry_after)
            else:
                self.answer(400 if found.mode == "refuse" else 200)

    with answering(Taking) as found.port:
        try:
            yield found
        finally:
            found.released.set()
