"""The same Cito under OpenTelemetry's own instrumentation, every default of the SDK kept."""

from __future__ import annotations

import os

import uvloop
from observed import serve
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
exporter = OTLPSpanExporter(os.environ["BENCH_OTLP"] + "/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
PsycopgInstrumentor().instrument()
RedisInstrumentor().instrument()
uvloop.run(serve(OpenTelemetryMiddleware))
