"""What people and scrapers ask: numbers, the exposition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler

from cito.core.declarations import rules
from cito.observability.exporters.prometheus import OPENMETRICS, TEXT, expose, exposed_bounds
from cito.observability.watch import Watch

_MOST_SECONDS = 21_600


def api_handlers(watch: Callable[[], Watch]) -> tuple[ControllerRouterHandler, ...]:
    """Return the handlers under `/api`."""

    @get(
        "/admin/performance",
        operation_id="performance",
        opt=rules("admin:read", queries=0, clinic=False, patient_data=False),
        tags=["Administration"],
    )
    async def performance(
        window: Annotated[int, Parameter(ge=1, le=_MOST_SECONDS, description="seconds back from now")] = 300,
    ) -> dict[str, Any]:
        """Answer how the node has performed lately: requests, cache, database, memory, jobs."""
        here = watch()
        here.node.collect()
        counted = here.node.window(window, here.wall())
        return here.report.answer(counted)

    return (performance,)


def root_handlers(watch: Callable[[], Watch]) -> tuple[ControllerRouterHandler, ...]:
    """Return the handlers outside `/api`."""

    @get(
        "/metrics",
        operation_id="metrics",
        opt=rules("metrics:read", queries=0, clinic=False, patient_data=False),
        include_in_schema=False,
    )
    async def metrics(request: Request[Any, Any, Any]) -> Response[str]:
        """Answer all series of all processes of this node, for Prometheus."""
        here = watch()
        here.node.collect()
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        totals = {number: slot.total for number, slot in here.node.slots().items()}
        targets = frozenset(target.p95_ms for target in here.targets)
        text = expose(totals, here.bounds, exposed_bounds(here.bounds, targets), openmetrics=openmetrics)
        return Response(text, headers={"content-type": OPENMETRICS if openmetrics else TEXT})

    return (metrics,)
