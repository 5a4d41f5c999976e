"""The contract with plugins: one class, in the order in which Cito calls it.

A plugin subclasses `Plugin`, says who it is by attributes, and brings what it has by hooks marked `@hookimpl`.
`register_*` is called once, at assembly, in the order of `requires`, before anything is opened: it returns
frozen declarations and does no work. A bare verb is an event or a span of life.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pluggy
from litestar.types import ControllerRouterHandler

from cito.core.declarations import (
    Answer,
    CacheFamily,
    Command,
    Grant,
    HealthCheck,
    Index,
    Invalidation,
    Job,
    Panel,
    Seed,
    Target,
)

if TYPE_CHECKING:
    from cito.core.context import Context
    from cito.core.database.query import Query, Statement
    from cito.core.settings import Settings
    from cito.core.telemetry import Record

PROJECT = "cito"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Plugin:
    """A plugin: who it is (attributes) and what it brings (hooks).

    Attributes:
        name: a slug; prefix of migration ids, name of its settings table and of its commands.
        requires: names of plugins that must be enabled, and come first.
        sql: folder with `migrations/`, `queries.sql`, `indexes.sql`, `naive.sql`; None: no tables.
        settings: struct for its `[plugin.<name>]` table of cito.toml, checked at start; None: no settings.
        first_request: path and query that a nurse of the demo data may ask for; `cito serve` shows it; None: none.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()
    sql: ClassVar[Traversable | None] = None
    settings: ClassVar[type[msgspec.Struct] | None] = None
    first_request: ClassVar[str | None] = None

    # -- declarations ------------------------------------------------------------------------------------

    @hookspec
    def register_grants(self) -> Iterable[Grant]:
        """Return which roles hold which scopes of this domain. Core merges them into one table."""
        return ()

    @hookspec
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return Litestar controllers, routers or handlers; mounted under `/api`.

        Each handler has an `operation_id` (its name in metrics and targets) and `opt=rules(...)`.
        """
        return ()

    @hookspec
    def register_pages(self) -> Iterable[ControllerRouterHandler]:
        """Return handlers mounted at the root, outside `/api`: pages and figures that are no part of the API.

        The same rules hold: an `operation_id`, and `opt=rules(...)` where a caller must be known.
        """
        return ()

    @hookspec
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return every binding of a block of `queries.sql` and `naive.sql`: a block without one is refused."""
        return ()

    @hookspec
    def register_indexes(self) -> Iterable[Index]:
        """Return indexes, each with the named queries that it serves; built concurrently, proved by plans."""
        return ()

    @hookspec
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        """Return what may be cached: key, value, loaders, life, tags."""
        return ()

    @hookspec
    def register_invalidations(self) -> Iterable[Invalidation]:
        """Return which tags a change of a table makes stale; compiled to database triggers."""
        return ()

    @hookspec
    def register_answers(self) -> Iterable[Answer[Any, Any]]:
        """Return answers to questions that other domains ask; one answer for a question."""
        return ()

    @hookspec
    def register_jobs(self) -> Iterable[Job]:
        """Return background work with its rhythm; run by `cito worker`, by one worker at a time."""
        return ()

    @hookspec
    def register_targets(self) -> Iterable[Target]:
        """Return the promised p95, error rate and hit rate of operations."""
        return ()

    @hookspec
    def register_health_checks(self) -> Iterable[HealthCheck]:
        """Return probes for `/ready`; a critical one takes the process out of service."""
        return ()

    @hookspec
    def register_seed_data(self) -> Iterable[Seed]:
        """Return demo data for `cito seed`, scalable, in dependency order."""
        return ()

    @hookspec
    def register_panels(self) -> Iterable[Panel]:
        """Return dashboard panels, vendor-neutral."""
        return ()

    @hookspec
    def register_commands(self) -> Iterable[Command]:
        """Return command groups for `cito <name>`."""
        return ()

    # -- life --------------------------------------------------------------------------------------------

    @hookspec
    def lifespan(self, context: Context) -> AbstractAsyncContextManager[None]:
        """Hold what the plugin needs while a process serves; unwound in reverse order.

        Args:
            context: database, cache, settings and clock of this process.
        """
        del context
        return nullcontext()

    @hookspec
    def relay_lifespan(self, settings: Settings) -> AbstractAsyncContextManager[None]:
        """Hold what the plugin needs in the relay's own process, which has no context; `job_finished` tells its steps.

        Args:
            settings: of this Cito.
        """
        del settings
        return nullcontext()

    # -- events: frozen into a tuple at assembly, called without pluggy; they must not block or raise ------

    @hookspec
    def request_finished(self, record: Record) -> None:
        """Called after the last byte of an answer was handed to the server."""

    @hookspec
    def job_finished(self, record: Record) -> None:
        """Called after each run of a job and each step of the relay."""
