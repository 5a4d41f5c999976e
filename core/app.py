"""The composition root: an assembly and its URLs become one ASGI application.

The way of a request: `Recorded` (record, ids, times) -> `Authenticated` (who) -> `Limited` (how much) -> `Audited`
(written down before it is shown) -> Litestar's routing -> `RouteGuard` (may they) -> the plugin's route. Everything
a process has is opened in `opened` and closed in reverse.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import Middleware

from cito.core.assembly import Assembly
from cito.core.cache.engine import Cache
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.database.pool import Database
from cito.core.embedded import Urls
from cito.core.health import health, ready
from cito.core.http.asgi import App
from cito.core.http.auth import provide_caller
from cito.core.http.documentation import openapi_config, script
from cito.core.http.guard import RouteGuard
from cito.core.http.layers import Layers
from cito.core.http.problems import PROBLEM_HANDLERS
from cito.core.relaying import standby_relay

_log = logging.getLogger("cito")


def create_app(assembly: Assembly, urls: Urls, clock: Clock | None = None) -> App:
    """Return the application; its database and cache are opened by ASGI's lifespan.

    Args:
        assembly: settings and declarations, checked.
        urls: where the servers are.
        clock: the time that plugins see; None: the real one.
    """
    settings, registry = assembly.settings, assembly.registry
    clock = clock or Clock()
    layers = Layers(settings, registry, urls)
    held: dict[str, Context] = {}

    @asynccontextmanager
    async def life(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                held["context"] = await stack.enter_async_context(opened(assembly, urls, clock))
                await stack.enter_async_context(layers.running(held["context"]))
            except Exception:
                _log.exception("the API cannot start")  # the server itself would not say why
                raise
            yield

    def provide_context() -> Context:
        return held["context"]

    # Our layers take the plain ASGI types; Litestar's are narrower in name only.
    guard = cast("Middleware", partial(RouteGuard, scopes=registry.scopes))
    litestar = Litestar(
        [
            Router("/api", route_handlers=[owned.value for owned in registry.routes]),
            *(owned.value for owned in registry.pages),
            health,
            ready,
            script,
        ],
        dependencies={
            "context": Provide(provide_context, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
        },
        middleware=[guard],
        exception_handlers=PROBLEM_HANDLERS,
        lifespan=[life],
        request_max_body_size=settings.http.max_body_bytes,
        openapi_config=openapi_config(registry.scopes, version("cito")),
        logging_config=None,
        debug=False,
    )
    return layers.around(litestar)


@asynccontextmanager
async def opened(assembly: Assembly, urls: Urls, clock: Clock) -> AsyncIterator[Context]:
    """Open what a process has: pool, cache, then each plugin's lifespan in order; unwound in reverse."""
    settings = assembly.settings
    queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database, urls.app, queries, size=assembly.pool_size)
        stack.push_async_callback(database.close)
        cache = await Cache.open(settings, urls.cache, database, assembly.registry, clock)
        stack.push_async_callback(cache.close)
        await stack.enter_async_context(
            standby_relay(settings, assembly.registry, urls.app, urls.cache, cache)
        )
        context = Context(settings, assembly.registry, database, cache, clock)
        for enabled in assembly.registry.plugins:
            await stack.enter_async_context(enabled.plugin.lifespan(context))
        yield context
