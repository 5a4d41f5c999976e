"""What a plugin returns from each hook reaches the registry, frozen and stamped with its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import typer
from litestar import get

from cito.core.database.query import Query
from cito.core.declarations import (
    Answer,
    CacheFamily,
    Command,
    Executor,
    Grant,
    HealthCheck,
    Index,
    Invalidation,
    Job,
    Panel,
    Question,
    Seed,
    Target,
    rules,
)
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.registry import HOOKS, Enabled, assemble
from cito.core.telemetry import Record


class Key(msgspec.Struct, frozen=True):
    id: int


async def nothing(*_: Any) -> Any:
    return None


async def load(_: Executor, key: Key) -> Key | None:
    return key


@get("/things", operation_id="list_things", opt=rules("things:read", queries=0), sync_to_thread=False)
def things() -> None:
    return None


@get("/page", operation_id="page", sync_to_thread=False)
def page() -> None:
    return None


GRANT = Grant(scope="things:read", roles=("nurse",))
QUERY = Query("find_thing", Key, Key)
INDEX = Index(name="things_id", table="things", serves=("find_thing",), because="it is found by it")
FAMILY = CacheFamily(
    name="thing",
    version=1,
    key=Key,
    value=Key,
    load=load,
    tags=("thing:{id}",),
    ttl_seconds=1,
    hard_limit_seconds=1,
    scoped=False,
)
INVALIDATION = Invalidation(table="things", tags=("thing:{id}",), because="it is shown")
ANSWER = Answer(question=Question(name="thing", asked=Key, answered=Key), provide=nothing)
JOB = Job(name="tidy", run=nothing, every_seconds=60)
TARGET = Target(operation="list_things", p95_ms=10)
CHECK = HealthCheck(name="things", check=nothing)
SEED = Seed(name="things", load=nothing)
PANEL = Panel(title="Things", metric="things", unit="1", statistic="rate")
COMMAND = Command(name="things", app=typer.Typer())


class Everything(Plugin):
    name = "everything"

    def __init__(self) -> None:
        self.seen: list[Record] = []

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        return [GRANT]

    @hookimpl
    def register_routes(self) -> Iterable[Any]:
        return [things]

    @hookimpl
    def register_pages(self) -> Iterable[Any]:
        return [page]

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any]]:
        return [QUERY]

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        return [INDEX]

    @hookimpl
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        return [FAMILY]

    @hookimpl
    def register_invalidations(self) -> Iterable[Invalidation]:
        return [INVALIDATION]

    @hookimpl
    def register_answers(self) -> Iterable[Answer[Any, Any]]:
        return [ANSWER]

    @hookimpl
    def register_jobs(self) -> Iterable[Job]:
        return [JOB]

    @hookimpl
    def register_targets(self) -> Iterable[Target]:
        return [TARGET]

    @hookimpl
    def register_health_checks(self) -> Iterable[HealthCheck]:
        return [CHECK]

    @hookimpl
    def register_seed_data(self) -> Iterable[Seed]:
        return [SEED]

    @hookimpl
    def register_panels(self) -> Iterable[Panel]:
        return [PANEL]

    @hookimpl
    def register_commands(self) -> Iterable[Command]:
        return [COMMAND]

    @hookimpl
    def request_finished(self, record: Record) -> None:
        self.seen.append(record)

    @hookimpl
    def job_finished(self, record: Record) -> None:
        self.seen.append(record)


RETURNED = {
    "grants": GRANT,
    "routes": things,
    "pages": page,
    "queries": QUERY,
    "indexes": INDEX,
    "cache_families": FAMILY,
    "invalidations": INVALIDATION,
    "answers_given": ANSWER,
    "jobs": JOB,
    "targets": TARGET,
    "health_checks": CHECK,
    "seed_data": SEED,
    "panels": PANEL,
    "commands": COMMAND,
}


@pytest.mark.parametrize("kind", RETURNED)
def test_a_declaration_arrives_with_its_owner(kind: str) -> None:
    registry = assemble([Enabled(Everything(), "tests", "0")])
    (owned,) = getattr(registry, kind)
    assert owned.plugin == "everything"
    assert owned.value is RETURNED[kind]


def test_an_event_reaches_its_subscriber_without_a_detour() -> None:
    plugin, record = Everything(), Record("job", "tidy")
    registry = assemble([Enabled(plugin, "tests", "0")])
    for subscriber in (*registry.request_subscribers, *registry.job_subscribers):
        subscriber(record)
    assert plugin.seen == [record, record]


def test_every_hook_that_returns_something_is_tried_here() -> None:
    tried = {hook for hook in HOOKS if getattr(Everything, hook) is not getattr(Plugin, hook)}
    spans = {"lifespan", "relay_lifespan"}
    assert set(HOOKS) - tried == spans, "a span of life is tried by the start of the process that has it"
