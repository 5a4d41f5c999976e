"""What the core itself brings, by the same door as everybody else: the plugin `core`, always enabled, first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib.resources import files

import msgspec
from litestar.types import ControllerRouterHandler

from cito.core.audit.sync import backlog
from cito.core.context import Context
from cito.core.database.migrations import read_migrations
from cito.core.database.query import Query
from cito.core.declarations import Grant, HealthCheck
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.http.audit_search import search_audit_events
from cito.core.http.revocation import revoke


class NoParams(msgspec.Struct, frozen=True):
    """A query without parameters."""


class MigrationId(msgspec.Struct, frozen=True):
    """One applied migration."""

    id: str


applied_migration_ids = Query("applied_migration_ids", NoParams, MigrationId)


class Core(Plugin):
    """Administration scopes and the probes of what every process needs."""

    name = "core"

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        """Return who administrates, who reads figures, and who reads the audit."""
        return (
            Grant(scope="admin:read", roles=("admin",)),
            Grant(scope="admin:write", roles=("admin",)),
            Grant(scope="metrics:read", roles=("admin",)),
            Grant(scope="audit:read", roles=("auditor",)),
        )

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return the search of the audit, and the revocation of tokens."""
        return (search_audit_events, revoke)

    @hookimpl
    def register_health_checks(self) -> Iterable[HealthCheck]:
        """Return the probes of database, migrations, and of the audit's way to the database."""
        return (
            HealthCheck(name="database", check=_database),
            HealthCheck(name="migrations", check=_migrations),
            HealthCheck(name="audit", check=_audit, critical=False),
        )


async def _database(context: Context) -> str | None:
    await applied_migration_ids.one(context.database.reader(None), NoParams())
    return None


async def _migrations(context: Context) -> str | None:
    applied = {row.id for row in await applied_migration_ids.all(context.database.reader(None), NoParams())}
    folders = [("core", files("cito.sql") / "core")]
    folders += [(one.name, one.plugin.sql) for one in context.registry.plugins if one.plugin.sql is not None]
    pending = [one.id for one in read_migrations(folders) if one.id not in applied]
    return f"{len(pending)} pending; run `cito migrate`" if pending else None


async def _audit(context: Context) -> str | None:
    return await asyncio.to_thread(backlog, context.settings.home / "audit")
