"""What OpenTelemetry's Redis instrumentation sees, tells and costs, beside our own record; part of `cito bench spans`.

It patches redis-py's classes, so that each measurement puts it on and takes it off again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cito.core.cache.keys import Names
from cito.core.cache.observe import note_trips
from cito.core.cache.shared import SharedTier, connect
from cito.core.telemetry import What, current_record, track

MARKER = "Xylophone"
_SECONDS = 5.0
Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Asked:
    """A value of the shared tier, as the cache asks for it."""

    value_key: bytes
    tag_keys: tuple[bytes, ...]
    validators: bytes = b""


class Stock:
    """The instrumentation, put on for the length of a block; its spans are kept in memory."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self._instrumentor = RedisInstrumentor()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch every client of redis-py."""
        self._instrumentor.instrument(tracer_provider=self._provider)
        try:
            yield
        finally:
            self._instrumentor.uninstrument()

    async def spans(self, work: Work) -> list[str]:
        """Return the spans that a piece of work makes while it is on."""
        self.memory.clear()
        await work()
        return [span.to_json() for span in self.memory.get_finished_spans()]


def pieces_of_work(tier: SharedTier, names: Names, client: Redis) -> dict[str, Work]:
    """Return what the cache asks of the shared tier, and what a plugin's own client may."""
    asked = Asked(names.value(b"patient", MARKER.encode()), (names.tag(MARKER),))

    async def read() -> None:
        start_ns = perf_counter_ns()
        await tier.read([asked], [])
        note_trips(SimpleNamespace(trips=1), start_ns)  # type: ignore[arg-type] # all that it looks at

    async def bump() -> None:
        start_ns = perf_counter_ns()
        await tier.bump(asked.tag_keys, 1)
        if (record := current_record.get()) is not None:  # as the engine notes it
            record.add(What.BUMP, "", start_ns, amount=1)

    async def feed() -> None:
        connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call] # as the feed does
        await connection.connect()
        await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", names.stamp_prefix)
        await connection.read_response()
        await connection.disconnect()

    async def get() -> None:
        with track("a plugin's own"):
            await client.get(MARKER)

    async def pipeline() -> None:
        with track("a plugin's own"):
            pipe: Any = client.pipeline(transaction=False)
            pipe.get(MARKER)
            pipe.get(MARKER)
            await pipe.execute()

    async def refusal() -> None:
        with track("a plugin's own"), suppress(ResponseError):
            await client.execute_command("NOSUCH", MARKER)  # type: ignore[no-untyped-call] # redis-py

    return {
        "a read of the shared tier (EVALSHA)": read,
        "a bump of stamps (EVALSHA)": bump,
        "the feed of bumps (a connection)": feed,
        "GET": get,
        "a pipeline of two GET": pipeline,
        "a command that is refused": refusal,
    }


@contextmanager
def nothing() -> Iterator[None]:
    """Watch nobody."""
    yield


async def measure_redis(
    url: str,
    our_spans: Callable[[Work], Awaitable[list[str]]],
    cpu_us: Callable[[Work, float], Awaitable[float]],
    rounds: int,
    seconds: float,
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Count spans, then measure reads of the shared tier in interleaved rounds."""
    names = Names(b"k" * 32, "bench")
    tier, client, stock = SharedTier(url, names, _SECONDS), connect(url, _SECONDS), Stock()
    works = pieces_of_work(tier, names, client)
    seen: dict[str, Any] = {}
    for name, work in works.items():
        await work()  # the server knows its scripts from here on
        with stock.on():
            theirs = await stock.spans(work)
        found = (theirs, await our_spans(work))
        seen[name] = [(len(spans), sum(MARKER in span for span in spans)) for spans in found]
    read = works["a read of the shared tier (EVALSHA)"]
    subjects: dict[str, tuple[Work, Callable[[], Any]]] = {
        "shared tier, nobody watches": (read, nothing),
        "shared tier, instrumented": (lambda: stock.spans(read), stock.on),
        "shared tier, its record and its spans": (lambda: our_spans(read), nothing),
    }
    costs: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, (work, watching) in subjects.items():
            with watching():
                costs[name].append(await cpu_us(work, seconds))
    await client.aclose()
    await tier.close()
    return seen, costs
