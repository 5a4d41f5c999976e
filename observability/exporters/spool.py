"""Spans on their way out: a bounded queue, a thread of their own, and exact counts of what became of each.

A request only appends to a queue. The thread turns records into compressed batches and posts them, oldest
first. While the endpoint is away batches wait, bounded by bytes; what does not fit is dropped, oldest first,
and counted. At any moment: emitted = exported + dropped + waiting.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from cito.core.telemetry import Record
from cito.observability.exporters.http import Endpoint, Outcome
from cito.observability.spans import span_count

QUEUE_RECORDS = 16_384
BUFFER_BYTES = 24 * 1024 * 1024
BATCH_RECORDS = 512
LINGER_SECONDS = 1.0
RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
FLUSH_SECONDS = 5.0
_PROTOBUF = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


@dataclass(slots=True)
class Counts:
    """Spans by fate. Each figure has one writing thread, so none is ever lost."""

    emitted: int = 0  # handed over by requests
    refused: int = 0  # of these, at once: the queue was full
    exported: int = 0
    discarded: int = 0  # by the thread: the buffer was full, the server refused, time was up

    @property
    def dropped(self) -> int:
        """All that will never arrive."""
        return self.refused + self.discarded


@dataclass(slots=True)
class _Batch:
    body: bytes
    spans: int
    tries: int = 0


class Spool:
    """Takes records of sampled, slow or failed work and delivers their spans.

    Args:
        endpoint: where batches are posted.
        encode: `(records, resource) -> body`.
        resource: attributes of this process.
        buffer_bytes: of compressed batches that may wait.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        encode: Callable[[Sequence[Record], Mapping[str, str]], bytes],
        resource: Mapping[str, str],
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.counts = Counts()
        self._endpoint = endpoint
        self._encode = encode
        self._resource = resource
        self._buffer_bytes = buffer_bytes
        self._records: deque[tuple[Record, int]] = deque()
        self._batches: deque[_Batch] = deque()
        self._waiting_bytes = 0
        self._wake = threading.Event()
        self._deadline: float | None = None  # set once: the end of the last flush
        self._thread = threading.Thread(target=self._work, name="cito-spans", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, record: Record) -> None:
        """Take a finished record; never waits. Above the bound it is dropped and counted."""
        spans = span_count(record)  # now: a load that outlives its request may still add a step
        self.counts.emitted += spans
        if len(self._records) >= QUEUE_RECORDS:
            self.counts.refused += spans
            return
        self._records.append((record, spans))
        if len(self._records) == BATCH_RECORDS:
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Spans that are neither exported nor dropped yet."""
        return self.counts.emitted - self.counts.exported - self.counts.dropped

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the batches that wait."""
        return self._waiting_bytes

    def stop(self, seconds: float = FLUSH_SECONDS) -> None:
        """Deliver what waits within so many seconds; what could not be delivered is counted as dropped."""
        self._deadline = time.monotonic() + seconds
        self._wake.set()
        self._thread.join(seconds + 0.5)
        self.counts.discarded += self.waiting

    def _work(self) -> None:
        pause = LINGER_SECONDS
        while True:
            if self._deadline is None:
                self._wake.wait(pause)
                self._wake.clear()
            self._pack()
            outcome = self._send_waiting()
            if self._deadline is not None and (outcome.taken or time.monotonic() >= self._deadline):
                break
            pause = LINGER_SECONDS if outcome.taken else self._pause(outcome)
            if self._deadline is not None:
                time.sleep(min(pause, 0.1))
        self._endpoint.close()

    def _pause(self, outcome: Outcome) -> float:
        tries = self._batches[0].tries if self._batches else 0
        backoff = RETRY_SECONDS[min(tries, len(RETRY_SECONDS)) - 1]
        return max(backoff, outcome.retry_after_seconds or 0.0)

    def _pack(self) -> None:
        """Turn queued records into batches, and let the oldest go where they do not fit."""
        while self._records:
            taken = [self._records.popleft() for _ in range(min(BATCH_RECORDS, len(self._records)))]
            records = [record for record, _ in taken]
            body = gzip.compress(self._encode(records, self._resource), compresslevel=1)
            self._batches.append(_Batch(body, sum(spans for _, spans in taken)))
            self._waiting_bytes += len(body)
            while self._waiting_bytes > self._buffer_bytes:
                self._settle(exported=False)

    def _send_waiting(self) -> Outcome:
        """Post batches until none waits or one is not taken; return the last outcome."""
        outcome = Outcome(taken=True)
        while self._batches:
            batch = self._batches[0]
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                return Outcome(taken=False)
            outcome = self._endpoint.post(batch.body, _PROTOBUF, left)
            if outcome.taken:
                self._settle(exported=True, rejected=_rejected(outcome.body))
            elif outcome.retry:
                batch.tries += 1
                return outcome
            else:  # the server will never take it
                self._settle(exported=False)
                outcome = Outcome(taken=True)
        return outcome

    def _settle(self, *, exported: bool, rejected: int = 0) -> None:
        batch = self._batches.popleft()
        self._waiting_bytes -= len(batch.body)
        self.counts.exported += batch.spans - rejected if exported else 0
        self.counts.discarded += rejected if exported else batch.spans


def _rejected(body: bytes) -> int:
    """Return how many spans the answer says it rejected (OTLP's partial success)."""
    if not body:
        return 0
    try:
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    except ValueError:  # an answer that is no protobuf message, such as `{}`
        return 0
