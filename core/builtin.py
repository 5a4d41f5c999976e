"""What the core itself brings, by the same door as everybody else: the plugin `core`, always enabled, first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec
from litestar.types import ControllerRouterHandler

from cito.core.audit.sync import backlog
from cito.core.context import Context
from cito.core.database.invalidation import (
    InvalidationError,
    drift_seen,
    installed_triggers,
    watched_tables,
)
from cito.core.database.migrations import read_migrations
from cito.core.database.query import Query, Statement
from cito.core.declarations import Grant, HealthCheck, Index
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.http.audit_search import AUDIT_INDEXES, count_audit, search_audit, search_audit_events
from cito.core.http.revocation import revoke, revoke_token, revoked_tokens
from cito.core.jobs.worker import claim_job, finish_job, job_states


class NoParams(msgspec.Struct, frozen=True):
    """A query without parameters."""


class MigrationId(msgspec.Struct, frozen=True):
    """One applied migration."""

    id: str


applied_migration_ids = Query("applied_migration_ids", NoParams, MigrationId)


class Core(Plugin):
    """Administration scopes, the core's own queries and indexes, the probes of what every process needs."""

    name = "core"
    sql = files("cito.sql") / "core"

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
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return the bindings of migrations, jobs, audit, revocation and invalidation triggers."""
        return (
            applied_migration_ids,
            claim_job,
            finish_job,
            job_states,
            search_audit,
            count_audit,
            revoked_tokens,
            revoke_token,
            watched_tables,
            installed_triggers,
        )

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        """Return the indexes of the audit."""
        return AUDIT_INDEXES

    @hookimpl
    def register_health_checks(self) -> Iterable[HealthCheck]:
        """Return the probes of database, migrations, triggers, and of the audit's way to the database."""
        return (
            HealthCheck(name="database", check=_database),
            HealthCheck(name="migrations", check=_migrations),
            HealthCheck(name="invalidation triggers", check=_triggers),
            HealthCheck(name="audit", check=_audit, critical=False),
        )


async def _database(context: Context) -> str | None:
    await applied_migration_ids.one(context.database.reader(None), NoParams())
    return None


async def _migrations(context: Context) -> str | None:
    applied = {row.id for row in await applied_migration_ids.all(context.database.reader(None), NoParams())}
    folders = [(one.name, one.plugin.sql) for one in context.registry.plugins if one.plugin.sql is not None]
    pending = [one.id for one in read_migrations(folders) if one.id not in applied]
    return f"{len(pending)} pending; run `cito migrate`" if pending else None


async def _triggers(context: Context) -> str | None:
    """Find triggers that are not as declared: writes past the API would go unnoticed, and reads be stale."""
    rules = [owned.value for owned in context.registry.invalidations]
    try:
        drifted = await drift_seen(context.database.reader(None), rules)
    except InvalidationError:
        return "a watched table is missing; run `cito migrate`"
    return f"not as declared: {', '.join(drifted)}; run `cito migrate`" if drifted else None


async def _audit(context: Context) -> str | None:
    return await asyncio.to_thread(backlog, context.settings.home / "audit")
