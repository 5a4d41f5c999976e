"""`/health` (alive) and `/ready` (can it serve, and which part is missing where it cannot)."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from cito.core.context import Context
from cito.core.declarations import HealthCheck


class Alive(msgspec.Struct):
    """The answer of `/health`."""

    status: str


class Readiness(msgspec.Struct):
    """The answer of `/ready`: `ready`, `degraded` (serves without a part) or `unready`, and each part's state."""

    status: str
    checks: dict[str, str]


@get("/health", operation_id="health", summary="Is the process alive?", sync_to_thread=False)
def health() -> Alive:
    """Answer without touching anything else, so that load and outages of other parts do not show here."""
    return Alive("alive")


@get(
    "/ready",
    operation_id="ready",
    summary="Can it serve, and which part is missing?",
    responses={
        503: ResponseSpec(Readiness, generate_examples=False, description="A critical part is missing.")
    },
)
async def ready(context: NamedDependency[Context]) -> Response[Readiness]:
    """Run all health checks side by side; 503 when a critical one fails."""
    checks = [owned.value for owned in context.registry.health_checks]
    found = await asyncio.gather(*(_probe(check, context) for check in checks))
    failed = [check for check, said in zip(checks, found, strict=True) if said]
    critical = any(check.critical for check in failed)
    state = Readiness(
        status="unready" if critical else "degraded" if failed else "ready",
        checks={check.name: said or "ok" for check, said in zip(checks, found, strict=True)},
    )
    headers = {"Retry-After": "1"} if critical else {}
    return Response(state, status_code=503 if critical else 200, headers=headers)


async def _probe(check: HealthCheck, context: Context) -> str | None:
    try:
        return await asyncio.wait_for(check.check(context), check.timeout_ms / 1000)
    except TimeoutError:
        return f"no answer in {check.timeout_ms:g} ms"
    except Exception as error:  # noqa: BLE001 - a probe that breaks is a probe that fails
        return type(error).__name__
