"""What people and scrapers ask: numbers, a live stream of them, the exposition, the level of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, put
from litestar.params import FromPath, JSONBody, Parameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ControllerRouterHandler

from cito.core.declarations import rules
from cito.core.draining import draining
from cito.core.errors import NotFound, Problem
from cito.core.http.limits import unhurried
from cito.core.jobs.worker import JobState, NoParams, job_states
from cito.core.telemetry import current_record
from cito.observability.answer import Performance
from cito.observability.exporters.prometheus import OPENMETRICS, TEXT, expose, exposed_bounds
from cito.observability.leader import read_board
from cito.observability.live import LiveView
from cito.observability.metrics import STREAM
from cito.observability.watch import Watch

REMEMBERED_SECONDS = 21_600  # longer windows are read from the history
_MOST_SECONDS = 30 * 86_400
_LIVE_SECONDS = 1.0
_READ = rules("admin:read", queries=2, clinic=False, patient_data=False)
_WRITE = rules("admin:write", queries=0, clinic=False, patient_data=False)
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}
PAGE = {
    file.name: file.read_bytes()
    for file in (files("cito.observability") / "page").iterdir()
    if file.is_file()
}
_SCRAPE = rules("metrics:read", queries=0, clinic=False, patient_data=False)

WindowSeconds = Annotated[
    int,
    Parameter(
        ge=1, le=_MOST_SECONDS, description="Seconds back from now; above six hours whole minutes count."
    ),
]


class LogLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The level from which our own loggers write."""

    level: Literal["debug", "info", "warning", "error"]


def api_handlers(watch: Callable[[], Watch]) -> tuple[ControllerRouterHandler, ...]:
    """Return the handlers under `/api`."""

    @get("/admin/performance", operation_id="performance", opt=_READ, tags=["Administration"])
    async def performance(window: WindowSeconds = 300) -> Performance:
        """Answer how all processes of this node have performed: requests, cache, database, memory, jobs, alerts."""
        here = watch()
        here.node.collect()
        now = here.wall()
        if window > REMEMBERED_SECONDS:
            until = datetime.fromtimestamp(now, UTC)
            counted = await here.leader.history.read(until - timedelta(seconds=window), until)
            counted.gauges = here.node.gauges(now)
        else:
            counted = here.node.window(window, now)
        board = read_board(here.node)
        alerts = [*board.firing, *board.recent]
        return here.report.answer(counted, await _jobs(here), alerts, here.node.slots())

    @get("/admin/performance/live", operation_id=STREAM, opt=_READ, tags=["Administration"])
    async def live(
        request: Request[Any, Any, Any],
        window: Annotated[int, Parameter(ge=60, le=REMEMBERED_SECONDS)] = 300,
    ) -> ServerSentEvent:
        """Stream what the live page shows, about once a second, for as long as somebody looks."""
        unhurried(request.scope)  # type: ignore[arg-type] # Litestar's own type of the same thing
        return ServerSentEvent(_views(watch(), window))

    @put(
        "/admin/log-level", operation_id="set_log_level", opt=_WRITE, tags=["Administration"], status_code=200
    )
    async def log_level(data: JSONBody[LogLevel]) -> LogLevel:
        """Change the level of the log of every process of this node, until they restart."""
        watch().set_level(data.level)
        return data

    return (performance, live, log_level)


def root_handlers(watch: Callable[[], Watch]) -> tuple[ControllerRouterHandler, ...]:
    """Return the handlers outside `/api`."""

    @get("/metrics", operation_id="metrics", opt=_SCRAPE, include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[str]:
        """Answer all series of all processes of this node, for Prometheus."""
        here = watch()
        here.node.collect()
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
        totals = here.node.totals(here.wall())
        exposed = exposed_bounds(here.bounds, here.targets_ms)
        text = expose(totals, here.bounds, exposed, openmetrics=openmetrics)
        return Response(text, headers={"content-type": OPENMETRICS if openmetrics else TEXT})

    @get("/admin/performance", operation_id="performance_page", include_in_schema=False)
    async def page() -> Response[bytes]:
        """Answer the live page; it holds no figures, its script asks for them with the token that it is given."""
        return _file("index.html")

    @get("/admin/performance/{name:str}", operation_id="performance_file", include_in_schema=False)
    async def file(name: FromPath[str]) -> Response[bytes]:
        """Answer a script or style of the page."""
        return _file(name)

    return (metrics, page, file)


def _file(name: str) -> Response[bytes]:
    kind = _KINDS.get(name.rpartition(".")[2], "") if name in PAGE else ""
    if not kind:
        raise NotFound
    return Response(PAGE[name], headers={"content-type": kind, "cache-control": "no-cache"})


async def _jobs(watch: Watch) -> list[JobState]:
    """Return the jobs' states; none while the database is away: the rest of the answer is still true."""
    with suppress(Problem, OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            return await job_states.all(watch.context.database.reader(None), NoParams())
    return []


async def _views(watch: Watch, window: int) -> AsyncIterator[ServerSentEventMessage]:
    view = LiveView(watch.report, watch.bounds)
    current_record.set(None)  # it asks as long as somebody looks: that is not one request with many queries
    while not draining.begun:
        watch.node.collect()
        now = watch.wall()
        board = read_board(watch.node)
        shown = view.of(watch.node, board, await _jobs(watch), window, now)
        yield ServerSentEventMessage(data=msgspec.json.encode(shown).decode())
        await asyncio.sleep(_LIVE_SECONDS)
