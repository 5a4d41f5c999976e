from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from cito.core.telemetry import Record, What
from cito.observability.exporters.http import Endpoint
from cito.observability.exporters.otlp_spans import trace_request
from cito.observability.exporters.spool import LINGER_SECONDS, QUEUE_RECORDS, Spool
from cito.observability.spans import span_count, spans_of

from .answering import Handler, answering
from .conftest import MS, Made, Waits, make
from .otlp_server import Collector, collector

RESOURCE = {"service.name": "cito", "service.instance.id": "0"}


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as found:
        yield found


def spool(server: Collector, *, timeout: float = 0.5, buffer_bytes: int = 24 << 20) -> Spool:
    endpoint = Endpoint(server.url("/v1/traces"), {"authorization": "k"}, timeout_seconds=timeout)
    made = Spool(endpoint, trace_request, RESOURCE, buffer_bytes)
    made.start()
    return made


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.01)


def profile(made: Made) -> Record:
    return made(
        "get_medication",
        ms=10,
        status=503,
        events=[
            (What.POOL_WAIT, "find", 2, 1),
            (What.QUERY, "find", 3, 4, "PoolFull"),
            (What.LOAD, "medication", 1.5, 6),
            (What.CACHE, "medication", 1, 8, "miss"),
            (What.TRACK, "format", 9.2, 0.5),
        ],
    )


def test_spans_have_the_records_true_times_names_and_parents(made: Made) -> None:
    record = profile(made)
    root, *steps = spans_of(record)
    assert root.span_id.hex() == record.span_id
    assert (root.template.name, root.template.kind, root.template.error) == (
        "GET /api/get_medication",
        "server",
        "503",
    )
    assert (root.start_ns, root.end_ns) == (record.started_at_ns, record.started_at_ns + 10 * MS)
    by_name = {span.template.name: span for span in steps}
    parents = {
        "cache medication": root,
        "load medication": by_name["cache medication"],
        "wait for a connection": by_name["load medication"],
        "find": by_name["load medication"],
        "format": root,
    }
    assert {name: span.parent_id for name, span in by_name.items()} == {
        name: parent.span_id for name, parent in parents.items()
    }
    query = by_name["find"]
    assert query.start_ns - root.start_ns == 3 * MS
    assert query.end_ns - query.start_ns == 4 * MS
    assert query.template.attributes["db.query.summary"] == "find"
    assert query.template.error == "PoolFull"


def test_how_old_news_was_is_no_span(made: Made) -> None:
    record = made(
        "relay", kind="relay", events=[(What.LAG, "commit_to_bump", -900, 900), (What.COMMIT, "", 0, 1)]
    )
    assert [span.template.name for span in spans_of(record)] == ["relay relay", "COMMIT"]
    assert span_count(record) == 2


def test_encoded_spans_say_what_the_spans_say(made: Made) -> None:
    records = [profile(made), profile(made), made("get_medication")]  # two of a kind, and one without steps
    for number, record in enumerate(records):
        record.request_id, record.parent_id = f"request-{number}", "ab" * 8 * (number % 2)
    request = ExportTraceServiceRequest.FromString(trace_request(records, RESOURCE))
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "cito"
    told = [(record, span) for record in records for span in spans_of(record)]
    assert len(scope.spans) == len(told) == 13
    by_id = {
        b"": "none",
        b"\xab" * 8: "another service's",
    }  # ids of steps are made anew each time: what they are compared by is who has which
    for (record, span), sent in zip(told, scope.spans, strict=True):
        assert sent.trace_id.hex() == record.trace_id
        by_id |= {span.span_id: span.template.name, sent.span_id: span.template.name}
        assert by_id[sent.parent_span_id] == by_id[span.parent_id]
        assert (sent.start_time_unix_nano, sent.end_time_unix_nano) == (span.start_ns, span.end_ns)
        kind = OtlpSpan.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_").lower()
        assert (sent.name, kind) == (span.template.name, span.template.kind)
        attributes = {
            a.key: a.value.int_value if a.value.HasField("int_value") else a.value.string_value
            for a in sent.attributes
        }
        own = {"cito.request_id": record.request_id} if span.span_id.hex() == record.span_id else {}
        assert attributes == span.template.attributes | own
        assert (sent.status.code == Status.STATUS_CODE_ERROR) == bool(span.template.error)
    assert len({sent.span_id for sent in scope.spans}) == 13


def test_every_span_arrives_once_with_its_resource(server: Collector, made: Made) -> None:
    out = spool(server)
    records = [profile(made) for _ in range(700)]
    for record in records:
        out.offer(record)
    out.stop()
    assert len(server.spans) == 700 * 6 == out.counts.exported
    assert {span.span_id for span in server.spans if not span.parent_span_id} == {
        bytes.fromhex(record.span_id) for record in records
    }
    resource = server.requests[0].resource_spans[0].resource
    assert {a.key: a.value.string_value for a in resource.attributes} == RESOURCE
    assert server.headers[0]["authorization"] == "k"
    assert server.headers[0]["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("mode", ["unavailable", "hang", "kill"])
@pytest.mark.parametrize("seconds", [1.5, pytest.param(60.0, marks=pytest.mark.full)])
@pytest.mark.timeout(200)
def test_an_outage_at_500_spans_a_second_loses_none(server: Collector, mode: str, seconds: float) -> None:
    server.mode = mode
    out = spool(server, timeout=10.0 if seconds > 30 else 0.5)
    waits: list[float] = []
    end = time.monotonic() + seconds
    most_bytes = 0
    while time.monotonic() < end:
        record = make("get_medication", events=[(What.QUERY, "find", 0, 1)] * 4)
        started = time.perf_counter()
        out.offer(record)
        waits.append(time.perf_counter() - started)
        most_bytes = max(most_bytes, out.waiting_bytes)
        time.sleep(0.01)
    server.mode = "ok"
    server.released.set()
    until(lambda: out.waiting == 0)
    out.stop()
    assert out.counts.dropped == 0
    assert len(server.spans) == out.counts.emitted == out.counts.exported == 5 * len(waits)
    assert most_bytes < 32 << 20
    assert sorted(waits)[len(waits) // 2] < 0.001  # nobody waited for the exporter


# Ten minutes of 500 spans a second are 300,000 spans; they come as fast as they are packed.
@pytest.mark.parametrize(
    ("batches", "buffer_bytes"), [(30, 60_000), pytest.param(586, 4_000_000, marks=pytest.mark.full)]
)
@pytest.mark.timeout(300)
def test_what_does_not_fit_is_counted_exactly(server: Collector, batches: int, buffer_bytes: int) -> None:
    server.mode = "unavailable"
    out = spool(server, buffer_bytes=buffer_bytes)
    for _ in range(batches):
        for _ in range(512):
            out.offer(make("get_medication"))
        until(lambda: not out._records)
        assert out.waiting_bytes <= buffer_bytes
    assert out.counts.dropped > 0
    server.mode = "ok"
    until(lambda: out.waiting == 0)
    out.stop()
    assert out.counts.emitted == batches * 512
    assert out.counts.exported == len(server.spans)
    assert out.counts.emitted == out.counts.exported + out.counts.dropped


def test_a_full_queue_refuses_and_counts(server: Collector) -> None:
    out = Spool(Endpoint(server.url("/v1/traces"), {}), trace_request, RESOURCE)  # not started: nobody takes
    for _ in range(QUEUE_RECORDS + 10):
        out.offer(make("a"))
    assert (out.counts.dropped, out.waiting) == (10, QUEUE_RECORDS)


def test_a_server_that_says_when_to_come_again_is_not_asked_before(server: Collector) -> None:
    server.mode, server.retry_after = "unavailable", "7"
    out = Spool(Endpoint(server.url("/v1/traces"), {}), trace_request, RESOURCE)
    out._wake = timer = Waits()
    out.offer(make("a"))
    out.start()
    until(lambda: len(timer.asked) >= 4)
    server.mode = "ok"
    out.stop()
    assert timer.asked[:4] == [LINGER_SECONDS, 7.0, 7.0, 7.0]
    assert (out.counts.exported, out.counts.dropped) == (1, 0)


def test_a_kept_connection_that_the_server_has_closed_is_no_failure_and_a_fresh_one_is() -> None:
    tries: list[bytes] = []

    class Closing(Handler):
        def take(self, body: bytes) -> None:
            tries.append(body)
            if body != b"cut":
                self.answer(200)
            self.close_connection = True  # without saying so

    with answering(Closing) as port:
        endpoint = Endpoint(f"http://127.0.0.1:{port}/", {})
        assert [endpoint.post(body, {}).taken for body in (b"one", b"two")] == [True, True]
        endpoint.close()
        assert endpoint.post(b"cut", {}).retry
    assert tries == [b"one", b"two", b"cut"]


def test_what_the_server_refuses_for_good_is_dropped_not_repeated(server: Collector) -> None:
    server.mode = "refuse"
    out = spool(server)
    out.offer(make("a"))
    until(lambda: out.waiting == 0)
    assert (out.counts.exported, out.counts.dropped) == (0, 1)
    out.stop()


@pytest.mark.parametrize("mode", ["hang", "unavailable"])
def test_shutdown_ends_in_time_and_counts_the_rest(server: Collector, mode: str) -> None:
    server.mode = mode
    out = spool(server)
    for _ in range(100):
        out.offer(make("a"))
    started = time.monotonic()
    out.stop(1.0)
    assert time.monotonic() - started < 2.0
    assert (out.counts.exported, out.counts.dropped, out.waiting) == (0, 100, 0)


def test_offering_from_many_requests_keeps_the_counts_exact(server: Collector) -> None:
    out = spool(server)
    done = threading.Barrier(2)

    def busy() -> None:
        for _ in range(3_000):
            out.offer(make("a"))
        done.wait()

    threading.Thread(target=busy).start()
    done.wait()
    out.stop()
    assert out.counts.emitted == 3_000 == out.counts.exported + out.counts.dropped
    assert len(server.spans) == out.counts.exported
