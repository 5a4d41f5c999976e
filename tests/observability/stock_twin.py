"""What a team gets without thinking of it: Litestar's and OpenTelemetry's stock instrumentation, defaults kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import redis.asyncio
from litestar import Litestar, get, post
from litestar.logging.config import LoggingConfig
from litestar.middleware.logging import LoggingMiddlewareConfig
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# PostgreSQL's own defaults, where ours are safer.
STOCK_LOGGING = "-c log_error_verbosity=default -c log_min_error_statement=error"


@dataclass
class Twin:
    client: httpx.AsyncClient
    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader


@asynccontextmanager
async def twin(database: str, cache: str) -> AsyncIterator[Twin]:
    """Serve patients the usual way, watched the usual way."""
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracer = TracerProvider()
    tracer.add_span_processor(SimpleSpanProcessor(spans))
    meter = MeterProvider(metric_readers=[metrics])
    instrumentors = PsycopgInstrumentor(), RedisInstrumentor()
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=tracer, meter_provider=meter)
    server = redis.asyncio.Redis.from_url(cache)

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(database, options=STOCK_LOGGING, autocommit=True)

    @get("/patients/{mrn:str}")
    async def read(mrn: FromPath[str]) -> dict[str, Any]:
        async with await connect() as connection:
            cursor = await connection.execute("select body from twin where mrn = %s", (mrn,))
            row = await cursor.fetchone()
        assert row is not None
        await server.set(f"patient:{mrn}", json.dumps(row[0]), ex=60)
        return dict(row[0])

    @get("/patients")
    async def search(name: FromQuery[str]) -> list[dict[str, Any]]:
        async with await connect() as connection:
            cursor = await connection.execute(
                f"select body from twin where body->>'lastName' ilike '%%{name}%%'"  # as many do
            )
            return [row[0] for row in await cursor.fetchall()]

    @post("/patients")
    async def register(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
        async with await connect() as connection:
            await connection.execute(
                "insert into twin (mrn, body) values (%s, %s)", (data["mrn"], json.dumps(data))
            )
        return data

    app = Litestar(
        [read, search, register],
        plugins=[OpenTelemetryPlugin(OpenTelemetryConfig(tracer_provider=tracer, meter_provider=meter))],
        middleware=[LoggingMiddlewareConfig().middleware],
        logging_config=LoggingConfig(log_exceptions="always", configure_root_logger=False),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://twin.test") as client:
            yield Twin(client, spans, metrics)
    finally:
        await server.aclose()
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
