from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import get

from cito.core.database.query import Query
from cito.core.declarations import (
    Answer,
    CacheFamily,
    Executor,
    Grant,
    HealthCheck,
    Index,
    Invalidation,
    Job,
    Question,
    Target,
    rules,
)
from cito.core.hookspecs import Plugin
from cito.core.refusals import refuse, refuse_catalogue
from cito.core.registry import Enabled, Owned, RefusedError, Registry
from cito.core.sources import read_sources


class Key(msgspec.Struct, frozen=True):
    id: int


class Row(msgspec.Struct, frozen=True):
    name: str


async def load(_on: Executor, _key: Key) -> Row | None:
    return None


def family(name: str = "widget", tags: tuple[str, ...] = ("widget:{id}",)) -> CacheFamily[Key, Row]:
    return CacheFamily(
        name=name,
        version=1,
        key=Key,
        value=Row,
        load=load,
        tags=tags,
        ttl_seconds=1,
        hard_limit_seconds=2,
        scoped=False,
    )


@get("/widgets", operation_id="list_widgets", opt=rules("widgets:read", queries=1), sync_to_thread=False)
def widgets() -> None: ...


@get(
    "/widgets/{other:int}",
    operation_id="get_widget",
    opt=rules("widgets:read", queries=1),
    sync_to_thread=False,
)
def widget(other: int) -> None: ...


@get("/widgets/{id:int}", operation_id="again", opt=rules("widgets:read", queries=1), sync_to_thread=False)
def again(id: int) -> None: ...  # noqa: A002 - the path parameter's name


@get("/open", operation_id="open", sync_to_thread=False)
def unruled() -> None: ...


@get("/unnamed", opt=rules("widgets:read", queries=1), sync_to_thread=False)
def unnamed() -> None: ...


GRANT = Grant(scope="widgets:read", roles=("nurse",))
RULE = Invalidation(table="widgets", tags=("widget:{id}",), because="a widget changed")


class Files(Plugin):
    """A plugin whose SQL folder is made by the test."""

    name = "widgets"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queries.sql").write_text(
        "-- name: find_widget(id)\n-- Finds.\n-- returns: one\nselect name from widgets where id = :id\n"
    )
    (tmp_path / "indexes.sql").write_text(
        "-- name: widgets_name\ncreate index concurrently widgets_name on widgets (name)\n"
    )
    return tmp_path


FIND = Query("find_widget", Key, Row)
INDEX = Index(name="widgets_name", table="widgets", serves=("find_widget",), because="names are searched")


def registry(folder: Path, **declared: Iterable[Any]) -> Registry:
    class Here(Files):
        sql = folder

    kinds: dict[str, Sequence[Owned[Any]]] = {
        kind: tuple(Owned("widgets", one) for one in given)
        for kind, given in {
            "grants": [GRANT],
            "queries": [FIND],
            "indexes": [INDEX],
            "invalidations": [RULE],
            "cache_families": [family()],
            **declared,
        }.items()
    }
    return Registry(plugins=(Enabled(Here(), "test", "1"),), **kinds)  # type: ignore[arg-type]  # built by field name


def said(found: Registry) -> str:
    with pytest.raises(RefusedError) as error:
        refuse(found, read_sources(found))
    return str(error.value)


def test_sound_declarations_are_accepted(folder: Path) -> None:
    found = registry(folder, routes=[widgets, widget], targets=[Target(operation="list_widgets", p95_ms=5)])
    refuse(found, read_sources(found))


QUESTION = Question(name="colour", asked=int, answered=str)


async def answer(_context: Any, _clinic: Any, _asked: int) -> str:
    return "red"


async def job(_context: Any) -> None: ...


async def well(_context: Any) -> str | None:
    return None


REFUSED: Mapping[str, tuple[dict[str, list[Any]], str]] = {
    "route twice": (
        {"routes": [widget, again]},
        "route GET /api/widgets/{id}: plugin widgets has it already",
    ),
    "route without rules": ({"routes": [unruled]}, "route GET /api/open has no rules"),
    "route without operation": ({"routes": [unnamed]}, "route GET /api/unnamed has no operation_id"),
    "scope nobody holds": ({"routes": [widgets], "grants": []}, "no role holds widgets:read"),
    "family twice": (
        {"cache_families": [family(), family()]},
        "cache family widget: plugin widgets has that name",
    ),
    "query twice": ({"queries": [FIND, FIND]}, "query find_widget: plugin widgets has that name"),
    "index twice": ({"indexes": [INDEX, INDEX]}, "index widgets_name: plugin widgets has that name"),
    "job twice": (
        {"jobs": [Job(name="tidy", run=job, every_seconds=1)] * 2},
        "job tidy: plugin widgets has that name",
    ),
    "check twice": (
        {"health_checks": [HealthCheck(name="ok", check=well)] * 2},
        "health check ok: plugin widgets",
    ),
    "answer twice": (
        {"answers_given": [Answer(question=QUESTION, provide=answer)] * 2},
        "answers colour, as plugin",
    ),
    "tag twice in a family": (
        {"cache_families": [family(tags=("widget:{id}", "widget:{id}"))]},
        "cache family widget: tag widget:{} twice",
    ),
    "tag twice for a table": (
        {"invalidations": [RULE, RULE]},
        "invalidation of widgets: tag widget:{id} is emitted already",
    ),
    "query without block": (
        {"queries": [FIND, Query("lose_widget", Key, Row)]},
        "query lose_widget: no block of that name in its queries.sql",
    ),
    "block without query": (
        {"queries": [], "indexes": []},
        "block find_widget (queries.sql:1): used by no query",
    ),
    "other parameters": (
        {"queries": [Query("find_widget", Row, Row)]},
        "Row has (name), the block uses (id)",
    ),
    "index without block": (
        {"indexes": [INDEX, Index(name="absent", table="widgets", serves=("find_widget",), because="x")]},
        "index absent: no block of that name",
    ),
    "index that serves nothing": (
        {"indexes": [Index(name="widgets_name", table="widgets", serves=(), because="x")]},
        "index widgets_name: serves nothing",
    ),
    "index that serves an unknown query": (
        {"indexes": [Index(name="widgets_name", table="widgets", serves=("other",), because="x")]},
        "index widgets_name: serves other, which is no registered query",
    ),
    "index block undeclared": ({"indexes": []}, "index block widgets_name: declared by no Index"),
    "family out of reach": ({"invalidations": []}, "tag widget:{id}: no invalidation emits it"),
    "tag the key cannot fill": (
        {"cache_families": [family(tags=("widget:{colour}",))]},
        "tag widget:{colour}: Key has no field colour",
    ),
    "invalidation nobody hears": ({"cache_families": []}, "no cache family carries widget:{id}"),
    "target of nothing": ({"targets": [Target(operation="fly", p95_ms=1)]}, "target fly: no such operation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_mistake_is_refused_by_name(folder: Path, case: str) -> None:
    declared, expected = REFUSED[case]
    message = said(registry(folder, **declared))
    assert expected in message
    assert "plugin widgets" in message


def test_all_refusals_come_at_once(folder: Path) -> None:
    lines = said(registry(folder, routes=[unruled], targets=[Target(operation="fly", p95_ms=1)])).splitlines()
    assert len(lines) == 2


def test_tables_and_columns_must_exist(folder: Path) -> None:
    found = registry(
        folder,
        invalidations=[
            RULE,
            Invalidation(table="gadgets", tags=("gadget:{id}",), because="x"),
            Invalidation(table="widgets", columns=("colour",), tags=("all",), because="x"),
        ],
        indexes=[INDEX, Index(name="g", table="gizmos", serves=("find_widget",), because="x")],
    )
    with pytest.raises(RefusedError) as error:
        refuse_catalogue(found, {"widgets": frozenset({"id", "name"})})
    assert error.value.refusals == (
        "plugin widgets: invalidation of gadgets: no such table; correct the name, or add its migration",
        "plugin widgets: invalidation of widgets: no column colour; the table has id, name",
        "plugin widgets: index g: no table gizmos; correct the name",
    )


def test_a_block_in_two_plugins_is_refused(folder: Path) -> None:
    class Here(Files):
        sql = folder

    class There(Plugin):
        name = "others"
        sql = folder

    with pytest.raises(
        RefusedError, match="plugin others: block find_widget: plugin widgets has that name already"
    ):
        read_sources(Registry(plugins=(Enabled(Here(), "t", "1"), Enabled(There(), "t", "1"))))


def test_a_twin_takes_its_querys_name_with_naive_before_it(folder: Path) -> None:
    (folder / "naive.sql").write_text(
        "-- name: find_widget(id)\n-- Slowly.\n-- returns: one\nselect name from widgets where id = :id\n"
    )
    sources = read_sources(registry(folder))
    assert {"find_widget", "naive_find_widget"} == set(sources.queries)
