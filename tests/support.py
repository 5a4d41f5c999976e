"""What tests share: a whole Cito in this process, and copies of databases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg import sql

from cito.core.assembly import Assembly
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.declarations import RULES_KEY
from cito.core.embedded import Urls
from cito.core.http.tokens import mint
from cito.core.refusals import route_operations
from cito.core.registry import Registry
from cito.core.relaying import run_relay
from cito.core.tasks import end
from cito.core.telemetry import Record
from cito.observability.metrics import STREAM

CLINIC = UUID("01900000-0000-7000-8000-000000000001")
OTHER_CLINIC = UUID("01900000-0000-7000-8000-000000000002")


class Budgets:
    """Notes each answer that took more queries than its route declares: `site.budgets.over`."""

    def __init__(self, registry: Registry) -> None:
        self._allowed = {
            handler.operation_id: handler.opt[RULES_KEY].queries
            for _, _, _, handler in route_operations(registry)
            if RULES_KEY in handler.opt and handler.operation_id != STREAM  # it asks while it is open
        }
        self.over: set[str] = set()

    def __call__(self, record: Record) -> None:
        allowed = self._allowed.get(record.operation)
        if allowed is not None and sum(record.runs.values()) > allowed:
            self.over.add(f"{record.operation} may run {allowed} queries, and ran {record.runs}")


@dataclass(frozen=True)
class Site:
    """One assembled Cito in this process: its database is its own, its clients speak HTTP to it."""

    assembly: Assembly
    urls: Urls
    app: Any
    client: httpx.AsyncClient
    budgets: Budgets

    def headers(self, role: str = "nurse", clinic: UUID | None = CLINIC, **more: str) -> dict[str, str]:
        """Headers of a caller; roles without a clinic get none."""
        where = None if role in ("admin", "auditor") else clinic
        return {"Authorization": f"Bearer {mint(self.assembly.settings, role, where)}", **more}


OpenSite = Callable[..., AbstractAsyncContextManager[Site]]


@contextmanager
def cloned(urls: Urls, template: str) -> Iterator[Urls]:
    """A copy of a database for the length of a block."""
    name = f"test_{os.urandom(6).hex()}"
    statement = sql.SQL("create database {} owner cito_owner template {} strategy file_copy")
    with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
        admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urls.on(name)
    finally:
        with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@asynccontextmanager
async def relayed(assembly: Assembly, urls: Urls) -> AsyncIterator[None]:
    """Run a site's relay around a block: without one, every read goes to the database."""
    task = asyncio.create_task(run_relay(assembly.settings, assembly.registry, urls.app, urls.cache))
    try:
        yield
    finally:
        await end(task)


@asynccontextmanager
async def shipping(site: Site) -> AsyncIterator[None]:
    """Carry a site's audit to the database around a block: without, each look into the audit waits for it."""
    settings = site.assembly.settings
    task = asyncio.create_task(
        Shipper(settings.home / "audit", site.urls.app, audit_key(settings)).run(0.005)
    )
    try:
        yield
    finally:
        await end(task)


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """Run an application's ASGI lifespan around a block."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbox.get, outbox.put)
    )
    await inbox.put({"type": "lifespan.startup"})
    said = await outbox.get()
    assert said["type"] == "lifespan.startup.complete", said
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await task
