"""Where telemetry goes, built from the settings: spans by `Spool`, metrics by `Periodic`."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from cito.core.settings import ObservabilitySettings
from cito.observability.exporters.aws import signer
from cito.observability.exporters.cloudwatch import EmbeddedMetrics, PutMetricData
from cito.observability.exporters.http import Endpoint
from cito.observability.exporters.otlp_metrics import OtlpMetrics
from cito.observability.exporters.otlp_spans import trace_request
from cito.observability.exporters.periodic import Destination, Periodic
from cito.observability.exporters.presets import PRESETS, resolve
from cito.observability.exporters.spool import Spool

__all__ = ["Exporters", "build"]


@dataclass(frozen=True, slots=True)
class Exporters:
    """What a process exports by; both may be empty."""

    spans: Spool | None
    metrics: tuple[Periodic, ...]

    def start(self) -> None:
        """Start their threads."""
        if self.spans is not None:
            self.spans.start()
        for periodic in self.metrics:
            periodic.start()

    def stop(self) -> None:
        """Flush, all at once, within five seconds; called in a thread, it waits."""
        stops = [one.stop for one in (self.spans, *self.metrics) if one is not None]
        threads = [threading.Thread(target=stop, name="cito-flush") for stop in stops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def build(
    settings: ObservabilitySettings, bounds: tuple[int, ...], slot: int, wall: Callable[[], float]
) -> Exporters:
    """Return what the settings ask for.

    Args:
        settings: the section `observability`.
        bounds: of the histograms.
        slot: of this process on its node; names the instance.
        wall: seconds since the epoch.

    Raises:
        ValueError: one line that names the setting that is wrong or missing.
        MissingAwsError: CloudWatch without botocore or credentials.
    """
    resource = {
        "service.name": "cito",
        "service.version": version("cito"),
        "service.instance.id": f"{socket.gethostname()}-{slot}",
        "process.pid": str(os.getpid()),
    }
    spans: Spool | None = None
    destinations: list[Destination] = []
    if settings.otlp_url or not PRESETS.get(settings.otlp_preset, PRESETS["otlp"]).traces.startswith(
        "{base}"
    ):
        chosen = resolve(
            settings.otlp_preset,
            base=settings.otlp_url or "",
            key=settings.otlp_key or "",
            region=settings.region or "",
            headers=settings.otlp_headers,
        )
        sign = [
            signer(service, settings.region or "") if service else None for service in chosen.aws_services
        ]
        spans = Spool(Endpoint(chosen.traces, chosen.headers, sign=sign[0]), trace_request, resource)
        if chosen.metrics:
            endpoint = Endpoint(chosen.metrics, chosen.headers, sign=sign[1])
            destinations.append(OtlpMetrics(endpoint, bounds, resource, delta=chosen.delta))
    if settings.cloudwatch == "emf":
        destinations.append(EmbeddedMetrics(settings.namespace, bounds))
    if settings.cloudwatch == "put":
        if not settings.region:
            raise ValueError("observability.region: needed by observability.cloudwatch")
        destinations.append(
            PutMetricData(settings.namespace, settings.region, bounds, settings.cloudwatch_url)
        )
    return Exporters(spans, tuple(Periodic(to, settings.export_seconds, wall) for to in destinations))
