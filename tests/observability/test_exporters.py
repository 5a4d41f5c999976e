from __future__ import annotations

import gc
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from botocore.session import get_session
from moto.server import ThreadedMotoServer
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from cito.core.settings import ObservabilitySettings
from cito.core.telemetry import What
from cito.observability import catalog as c
from cito.observability.exporters import Exporters, build
from cito.observability.exporters import cloudwatch_sums as sums
from cito.observability.exporters.cloudwatch import EmbeddedMetrics, PutMetricData, metric_data
from cito.observability.exporters.http import Endpoint
from cito.observability.exporters.otlp_metrics import OtlpMetrics
from cito.observability.exporters.periodic import Delivery, Periodic
from cito.observability.exporters.presets import PRESETS
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics, Slice

from .conftest import Made
from .otlp_server import Collector, collector

BOUNDS = bounds_with([])
NOW = 1_800_000_000.0

# The rules of AWS's "Specification: Embedded metric format": structure, limits and units.
EMF = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1_000_000_000_000},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Milliseconds", "Bytes", "Count", "None"]},
                                        "StorageResolution": {"enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def moto(aws: None) -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    gc.collect()  # moto and botocore leave sockets to it; their warnings shall not meet another test


def counted(made: Made, times: int = 10) -> Slice:
    metrics = Metrics(BOUNDS)
    metrics.cut(NOW - 15)
    for number in range(times):
        metrics.fold(made("get_medication", ms=1 + number, events=[(What.QUERY, "find", 0, 1)]))
    metrics.fold(made("get_medication", ms=30, status=503, sampled=True))
    metrics.count(c.SLOW_QUERIES, ("find",), 2)
    metrics.set(c.MEMORY, (), 1e8)
    return metrics.cut(NOW)


def test_otlp_metrics_carry_counts_units_and_exemplars(server: Collector, made: Made) -> None:
    out = OtlpMetrics(Endpoint(server.url("/v1/metrics"), {}), BOUNDS, {"service.name": "cito"}, delta=True)
    delivery = out.deliver(counted(made), NOW, None)
    out.close()
    assert delivery.exported == 5
    by_name = {metric.name: metric for metric in server.metrics}
    requests = by_name[c.REQUESTS]
    assert requests.unit == "s"
    assert requests.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    good, bad = sorted(requests.histogram.data_points, key=lambda point: -point.count)
    assert (good.count, bad.count) == (10, 1)
    assert good.sum == pytest.approx(0.055)
    assert sum(good.bucket_counts) == 10
    assert len(good.bucket_counts) == len(good.explicit_bounds) + 1
    assert bad.exemplars[0].as_double == pytest.approx(0.030)
    assert {a.key: a.value for a in bad.attributes}["http.response.status_code"].int_value == 503
    assert by_name[c.SLOW_QUERIES].sum.is_monotonic
    assert by_name[c.MEMORY].gauge.data_points[0].as_double == 1e8


def test_cumulative_metrics_grow_and_an_outage_loses_nothing(server: Collector, made: Made) -> None:
    out = OtlpMetrics(Endpoint(server.url("/v1/metrics"), {}), BOUNDS, {}, delta=False)
    periodic = Periodic(out, 3600, lambda: NOW)
    for mode in ("unavailable", "kill", "ok", "unavailable", "ok"):
        server.mode = mode
        periodic.add(counted(made))
        periodic.deliver()
    out.close()
    sums = [m.histogram.data_points[0].count for m in server.metrics if m.name == c.QUERIES]
    assert sums == [30, 50]
    assert (periodic.delayed, periodic.lost) == (3, 0)


def test_what_alarms_look_at_is_added_up_and_no_error_is_a_figure_too(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for cache in ("local", "miss", ""):
        record = made("get_medication")
        record.cache = cache
        metrics.fold(record)
    for outcome in ("hit", "miss", "unheard-of"):
        metrics.time(c.CACHE, ("family", "none", outcome), 1_000)
    found = {(instrument.name, *labels): total for instrument, labels, total in sums.sums(metrics.cut(NOW))}
    assert sorted(found.values()) == [0, 1, 1, 2, 2]
    assert found[sums.ERRORS, "get_medication"] == 0
    assert found[sums.CACHE_READS, "family"] == 2
    assert found[sums.CACHE_MISSES, "family"] == 1


def test_what_is_counted_during_a_delivery_that_fails_is_delivered_with_the_next(made: Made) -> None:
    delivered: list[int] = []

    class Busy:
        name = "busy"

        def deliver(self, counts: Slice, *_: object) -> Delivery:
            delivered.append(sum(h.count for h in counts.labelled(c.QUERIES).values()))
            if len(delivered) == 1:
                periodic.add(counted(made))
            return Delivery(again=len(delivered) == 1)

        def close(self) -> None: ...

    periodic = Periodic(Busy(), 3600, lambda: NOW)
    periodic.add(counted(made))
    periodic.deliver()
    periodic.deliver()
    assert delivered == [10, 20]


def test_delta_metrics_are_delivered_once_over_an_outage(server: Collector, made: Made) -> None:
    out = OtlpMetrics(Endpoint(server.url("/v1/metrics"), {}), BOUNDS, {}, delta=True)
    periodic = Periodic(out, 3600, lambda: NOW)
    for mode in ("unavailable", "ok", "ok"):
        server.mode = mode
        periodic.add(counted(made))
        periodic.deliver()
    out.close()
    assert [m.histogram.data_points[0].count for m in server.metrics if m.name == c.QUERIES] == [20, 10]


def test_the_last_delivery_happens_at_shutdown(server: Collector, made: Made) -> None:
    periodic = Periodic(
        OtlpMetrics(Endpoint(server.url("/v1/metrics"), {}), BOUNDS, {}, delta=True), 3600, lambda: NOW
    )
    periodic.start()
    periodic.add(counted(made))
    periodic.stop()
    assert periodic.exported == 5


# botocore leaves closing its sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_put_metric_data_arrives_with_the_operation_dimension(moto: str, made: Made) -> None:
    out = PutMetricData("Cito", "eu-central-1", BOUNDS, moto)
    assert out.deliver(counted(made), NOW, None).exported == 7  # the operation as a whole beside its parts
    out.close()
    client = get_session().create_client("cloudwatch", region_name="eu-central-1", endpoint_url=moto)
    asked = {"Operation": "get_medication", "Method": "GET", "Status": "200"}
    dimensions = [{"Name": name, "Value": value} for name, value in asked.items()]
    (point,) = client.get_metric_statistics(
        Namespace="Cito",
        MetricName=c.REQUESTS,
        Dimensions=dimensions,
        StartTime=NOW - 60,
        EndTime=NOW + 60,
        Period=60,
        Statistics=["SampleCount", "Sum", "Maximum"],
    )["Datapoints"]
    listed = client.list_metrics(Namespace="Cito", MetricName=c.REQUESTS)["Metrics"]
    client.close()
    del client, out
    gc.collect()
    assert point["SampleCount"] == 10
    assert point["Maximum"] == pytest.approx(10, rel=0.1)
    assert point["Sum"] == pytest.approx(55, rel=0.1)
    assert dimensions[:1] in [metric["Dimensions"] for metric in listed]


def test_what_alarms_look_at_is_added_up(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    for outcome, status in (("local", 200), ("shared", 200), ("miss", 200), ("bypass", 503)):
        record = made("get_patient", status=status, events=[(What.CACHE, "patient", 0, 1, outcome)])
        record.cache = outcome
        metrics.fold(record)
    metrics.fold(made("purge", kind="job", status=500))
    metrics.fold(made("purge", kind="job"))
    data = metric_data(metrics.cut(NOW), BOUNDS, NOW)
    summed = {(d["MetricName"], d["Dimensions"][0]["Value"]): d["Value"] for d in data if "Value" in d}
    assert summed == {
        (sums.ERRORS, "get_patient"): 1,
        (sums.REQUEST_READS, "get_patient"): 4,
        (sums.REQUEST_MISSES, "get_patient"): 2,
        (sums.CACHE_READS, "patient"): 4,
        (sums.CACHE_MISSES, "patient"): 2,
        (sums.JOB_ERRORS, "purge"): 1,
    }


def test_put_metric_data_while_the_service_is_away_is_joined_to_the_next(aws: None, made: Made) -> None:
    out = PutMetricData("Cito", "eu-central-1", BOUNDS, "http://127.0.0.1:9")
    assert out.deliver(counted(made), NOW, None).again
    out.close()


def test_data_stay_within_the_services_limits(made: Made) -> None:
    metrics = Metrics(bounds_with(range(1, 300)))
    for ms in range(1, 300):
        metrics.fold(made("get_medication", ms=ms))
    data = list(metric_data(metrics.cut(NOW), metrics.bounds, NOW))
    assert all(len(datum.get("Values", ())) <= 150 for datum in data)
    assert sum(sum(d["Counts"]) for d in data if len(d["Dimensions"]) == 3) == 299


def test_embedded_metric_format_follows_its_specification(made: Made) -> None:
    stream = io.StringIO()
    EmbeddedMetrics("Cito", BOUNDS, stream).deliver(counted(made), NOW, None)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 7
    for line in lines:
        jsonschema.validate(line, EMF)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert all(name in line for name in directive["Dimensions"][0])
        value = line[directive["Metrics"][0]["Name"]]
        if isinstance(value, dict):
            assert len(value["Values"]) == len(value["Counts"]) <= 100
            assert (value["Min"], value["Max"]) == (min(value["Values"]), max(value["Values"]))
            assert value["Count"] == sum(value["Counts"])
            assert value["Sum"] == pytest.approx(
                sum(v * n for v, n in zip(value["Values"], value["Counts"], strict=True))
            )
    whole = next(
        line for line in lines if line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Operation"]]
    )
    assert whole["Operation"] == "get_medication"


def exported(settings: ObservabilitySettings) -> Exporters:
    return build(settings, BOUNDS, 0, lambda: NOW)


@pytest.mark.parametrize(
    ("preset", "header", "value"),
    [
        ("otlp", "x-own", "1"),
        ("grafana", "authorization", "Basic k"),
        ("datadog", "dd-api-key", "k"),
        ("newrelic", "api-key", "k"),
        ("sentry", "x-sentry-auth", "sentry sentry_key=k"),
        ("cloudwatch", "authorization", "AWS4-HMAC-SHA256 Credential=testing/"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_each_preset_reaches_its_endpoint_with_its_key(
    server: Collector, made: Made, preset: str, header: str, value: str
) -> None:
    out = exported(
        ObservabilitySettings(
            otlp_preset=preset,
            otlp_url=server.url("/base"),
            otlp_key="k",
            region="eu-central-1",
            otlp_headers={"x-own": "1"},
        )
    )
    out.start()
    assert out.spans is not None
    out.spans.offer(made("get_medication"))
    for periodic in out.metrics:
        periodic.add(counted(made))
    out.stop()
    assert all(found[header].startswith(value) for found in server.headers)
    assert out.spans.counts.exported == 1
    paths = {path.rstrip("/") for path, _ in server.bodies}
    assert paths == ({"/base/v1/traces"} if preset == "sentry" else {"/base/v1/traces", "/base/v1/metrics"})
    for metric in server.metrics:
        if metric.HasField("histogram"):
            delta = metric.histogram.aggregation_temporality == 1
            assert delta == PRESETS[preset].delta


def test_all_exporters_flush_at_once_so_that_one_that_hangs_takes_no_time_of_the_others() -> None:
    together = threading.Barrier(3, timeout=10)
    one: Any = SimpleNamespace(stop=together.wait)
    Exporters(one, (one, one)).stop()
    assert not together.broken


def test_each_preset_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    rows = {
        line.split("|")[1].strip().removesuffix(" (default)").strip("`")
        for line in text.splitlines()
        if line.startswith("| `")
    }
    assert rows >= PRESETS.keys()


def test_presets_say_what_they_need() -> None:
    with pytest.raises(ValueError, match=r"observability.otlp_key: needed by the preset datadog"):
        exported(ObservabilitySettings(otlp_preset="datadog", otlp_url="http://x"))
    with pytest.raises(ValueError, match=r"observability.region: needed by the preset cloudwatch"):
        exported(ObservabilitySettings(otlp_preset="cloudwatch"))
    with pytest.raises(ValueError, match=r"observability.otlp_preset: one of otlp, grafana"):
        exported(ObservabilitySettings(otlp_preset="graphite", otlp_url="http://x"))
    with pytest.raises(ValueError, match=r"observability.region: needed by observability.cloudwatch"):
        exported(ObservabilitySettings(cloudwatch="put"))
    assert exported(ObservabilitySettings()) == Exporters(None, ())
