"""Observability: everything seen, at a cost nobody notices. A plugin like any other; it consumes records.

Enabled by `observability.enabled`. Without it nothing is folded, sampled or exported, and its routes are not there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any

from litestar.types import ControllerRouterHandler

from cito.core.context import Context
from cito.core.database.query import Query, Statement
from cito.core.declarations import Command, Job, Panel
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.settings import Settings
from cito.core.telemetry import Record
from cito.observability.commands import app
from cito.observability.facts import blocked_statements, relay_backlog
from cito.observability.history import PURGE, QUERIES
from cito.observability.panels import PANELS
from cito.observability.publisher import Publisher
from cito.observability.recorder import Recorder
from cito.observability.routes import api_handlers, root_handlers
from cito.observability.watch import Watch


class Observability(Plugin):
    """Metrics, traces, slow queries, alerts, exporters, and the page that shows them."""

    name = "observability"
    sql = files("cito.sql") / "observability"

    def __init__(self) -> None:
        self._take: Callable[[Record], None] = _nobody
        self._watches: list[Watch] = []

    @property
    def watch(self) -> Watch:
        """The watch of the application that serves now; the latest, should there be several in one process."""
        return self._watches[-1]

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return `/api/admin/performance` and its kin."""
        return api_handlers(lambda: self.watch)

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return what it asks PostgreSQL."""
        return (relay_backlog, blocked_statements, *QUERIES)

    @hookimpl
    def register_jobs(self) -> Iterable[Job]:
        """Return the job that lets old history go."""
        return (PURGE,)

    @hookimpl
    def register_pages(self) -> Iterable[ControllerRouterHandler]:
        """Return `/metrics` and the live page."""
        return root_handlers(lambda: self.watch)

    @hookimpl
    def register_panels(self) -> Iterable[Panel]:
        """Return the panels that belong to no domain."""
        return PANELS

    @hookimpl
    def register_commands(self) -> Iterable[Command]:
        """Return `cito dashboards`."""
        return (Command(name="dashboards", app=app),)

    @hookimpl
    def lifespan(self, context: Context) -> AbstractAsyncContextManager[None]:
        """Watch while the process serves."""
        return self._watching(context)

    @asynccontextmanager
    async def _watching(self, context: Context) -> AsyncIterator[None]:
        async with Watch(context) as watch:
            self._watches.append(watch)
            try:
                with self._recording(watch.recorder):
                    yield
            finally:
                self._watches.remove(watch)

    @hookimpl
    def relay_lifespan(self, settings: Settings) -> AbstractAsyncContextManager[None]:
        """Publish the relay's steps and its process's figures."""
        return self._publishing(settings)

    @asynccontextmanager
    async def _publishing(self, settings: Settings) -> AsyncIterator[None]:
        async with Publisher(settings) as publisher:
            with self._recording(publisher.recorder):
                yield

    @contextmanager
    def _recording(self, recorder: Recorder) -> Iterator[None]:
        before, self._take = self._take, recorder.take
        try:
            yield
        finally:
            if self._take == recorder.take:
                self._take = before

    @hookimpl
    def request_finished(self, record: Record) -> None:
        """Fold the record of a request."""
        self._take(record)

    @hookimpl
    def job_finished(self, record: Record) -> None:
        """Fold the record of a job run or a relay step."""
        self._take(record)


def _nobody(_: Record) -> None:
    """Nothing watches in this process."""
