"""Triggers compiled from declarations: every kind of write is noted, old values and new, and bulk writes coarsely."""

from __future__ import annotations

import psycopg
import pytest
from shelf import INVALIDATIONS, Shelf
from support import OpenSite

from cito.core.database.invalidation import MANY, InvalidationError, drift, install
from cito.core.declarations import Invalidation

OTHER = "01900000-0000-7000-8000-00000000000f"


@pytest.fixture
def noted(bare_shelf: Shelf) -> Shelf:
    return bare_shelf


def item(shelf: Shelf, id_: int, clinic: object = None) -> str:
    return f"item:{clinic or shelf.clinic}:{id_}"


def items(shelf: Shelf, clinic: object = None) -> str:
    return f"items:{clinic or shelf.clinic}"


def test_insert_update_and_delete_are_noted(noted: Shelf) -> None:
    for statement in (
        "insert into items (clinic_id, id, name) values (%s, 2, 'two')",
        "update items set name = 'zwei' where clinic_id = %s and id = 2",
        "delete from items where clinic_id = %s and id = 2",
    ):
        noted.psql(statement, noted.clinic)
        assert noted.outbox() == [item(noted, 2), items(noted)]


def test_old_and_new_values_decide(noted: Shelf) -> None:
    both = [items(noted), items(noted, OTHER)]
    noted.psql("update items set clinic_id = %s where id = 1", OTHER)
    assert noted.outbox() == sorted([item(noted, 1), item(noted, 1, OTHER), *both])
    noted.psql("insert into items (clinic_id, id, name) values (%s, 2, 'two')", OTHER)
    noted.outbox()
    noted.psql("update items set clinic_id = %s", noted.clinic)  # several rows whose keys change
    assert noted.outbox() == sorted(
        [item(noted, 1), item(noted, 1, OTHER), item(noted, 2), item(noted, 2, OTHER), *both]
    )


def test_only_watched_columns_count_and_only_if_they_change(noted: Shelf) -> None:
    noted.psql("update items set note = 'unwatched'")
    noted.psql("update items set name = name, version = version")
    assert noted.outbox() == []
    noted.psql("update items set name = name || '.', note = null")
    assert noted.outbox() == [item(noted, 1), items(noted)]


def test_a_statement_that_touches_nothing_notes_nothing(noted: Shelf) -> None:
    noted.psql("update items set name = 'x' where false")
    noted.psql("delete from items where false")
    assert noted.outbox() == []


def test_a_rollback_notes_nothing(noted: Shelf) -> None:
    with psycopg.connect(noted.urls.owner) as connection:
        connection.execute("update items set name = 'never'")
        connection.rollback()
    assert noted.outbox() == []


def test_upsert_merge_and_data_modifying_cte(noted: Shelf) -> None:
    noted.psql(
        "insert into items (clinic_id, id, name) values (%s, 1, 'again'), (%s, 3, 'three') "
        "on conflict (clinic_id, id) do update set name = excluded.name",
        noted.clinic,
        noted.clinic,
    )
    assert set(noted.outbox()) == {item(noted, 1), item(noted, 3), items(noted)}
    noted.psql(
        "merge into items using (values (%s::uuid, 3)) as s (c, i) on clinic_id = s.c and id = s.i "
        "when matched then update set name = 'merged'",
        noted.clinic,
    )
    assert noted.outbox() == [item(noted, 3), items(noted)]
    noted.psql("with gone as (delete from items where id = 3 returning 1) select count(*) from gone")
    assert noted.outbox() == [item(noted, 3), items(noted)]


async def test_cascades_copy_and_truncate(noted: Shelf) -> None:
    rules = (*INVALIDATIONS, Invalidation(table="parts", tags=("part:{id}",), because="a test"))
    assert await install(noted.urls.owner, rules) == ["parts"]
    noted.psql("insert into parts (clinic_id, id, item_id) values (%s, 7, 1)", noted.clinic)
    noted.outbox()
    noted.psql("delete from items where id = 1")
    assert noted.outbox() == [item(noted, 1), items(noted), "part:7"]
    with (
        psycopg.connect(noted.urls.owner, autocommit=True) as connection,
        connection.cursor().copy("copy items (clinic_id, id, name) from stdin") as copy,
    ):
        copy.write_row((noted.clinic, 9, "copied"))
    assert noted.outbox() == [item(noted, 9), items(noted)]
    noted.psql("truncate items cascade")
    assert noted.outbox() == ["item:{}:{}", "items:{}", "part:{}"]


def test_replication_role_does_not_silence_them(noted: Shelf) -> None:
    with psycopg.connect(noted.urls.admin, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update items set name = 'restored'")
    assert noted.outbox() == [item(noted, 1), items(noted)]


def test_the_application_role_needs_no_right_to_the_outbox(noted: Shelf) -> None:
    with psycopg.connect(noted.urls.app, autocommit=True) as connection:
        connection.execute("update items set name = 'by the application'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into cito.outbox (tag) values ('forged')")
    assert noted.outbox() == [item(noted, 1), items(noted)]


def test_session_settings_do_not_change_a_tag(noted: Shelf) -> None:
    with psycopg.connect(noted.urls.owner, autocommit=True) as connection:
        connection.execute("set datestyle = 'german'; set search_path = pg_temp; set bytea_output = 'escape'")
        connection.execute("create temp table outbox (tag text)")
        connection.execute("update public.items set name = 'elsewhere'")
    assert noted.outbox() == [item(noted, 1), items(noted)]


@pytest.mark.parametrize(
    "rows", [pytest.param(20_000, id="20000"), pytest.param(1_000_000, id="1000000", marks=pytest.mark.full)]
)
def test_a_bulk_write_makes_a_handful_of_notes(noted: Shelf, rows: int) -> None:
    noted.psql(
        "insert into items (clinic_id, id, name) select %s, g, 'n' from generate_series(2, %s) g",
        noted.clinic,
        rows,
    )
    assert noted.outbox() == ["item:{}:{}", items(noted)]
    noted.psql("update items set name = name || '.'")
    assert noted.outbox() == ["item:{}:{}", items(noted)]
    noted.psql("update items set note = 'unwatched'")
    assert noted.outbox() == []
    noted.psql("delete from items")
    assert noted.outbox() == ["item:{}:{}", items(noted)]


def test_many_rows_of_few_tags_after_a_uniform_start_are_noted_one_by_one(noted: Shelf) -> None:
    noted.psql(
        "insert into items (clinic_id, id, name) "
        "select case when g < 6000 then %s::uuid else %s::uuid end, g, 'n' from generate_series(2, 6500) g",
        noted.clinic,
        OTHER,
    )
    assert noted.outbox() == sorted(["item:{}:{}", items(noted), items(noted, OTHER)])


def test_just_under_and_over_the_limit(noted: Shelf) -> None:
    insert = (
        "insert into items (clinic_id, id, name) select %s, g, 'n' from generate_series(%s::int, %s::int) g"
    )
    noted.psql(insert, noted.clinic, 1000, 1000 + MANY - 1)
    assert len(noted.outbox()) == MANY + 1
    noted.psql(insert, noted.clinic, 2000, 2000 + MANY)
    assert noted.outbox() == ["item:{}:{}", items(noted)]


async def test_a_tag_that_is_too_long_is_noted_coarsely_and_a_null_not_at_all(noted: Shelf) -> None:
    rules = (Invalidation(table="items", tags=("note:{note}",), because="a test"),)
    await install(noted.urls.owner, rules)
    noted.outbox()
    noted.psql("update items set note = %s", "x" * 600)
    assert noted.outbox() == ["note:{}"]  # and the null before is no tag
    noted.psql("update items set note = 'it''s {odd} %%'")
    assert noted.outbox() == ["note:it's {odd} %", "note:{}"]


async def test_an_unchanged_declaration_builds_nothing_and_a_changed_one_begins_anew(noted: Shelf) -> None:
    assert await install(noted.urls.owner, INVALIDATIONS) == []
    assert noted.outbox() == []
    changed = (Invalidation(table="items", tags=("items:{clinic_id}",), because="a test"),)
    assert await drift(noted.urls.owner, changed) == ["items"]
    assert await install(noted.urls.owner, changed) == ["items"]
    assert noted.outbox() == ["*"]
    assert await install(noted.urls.owner, ()) == ["items"]
    noted.outbox()
    noted.psql("update items set name = 'unwatched'")
    assert noted.outbox() == []


async def test_a_trigger_changed_by_hand_is_found_and_mended(noted: Shelf) -> None:
    for damage in (
        "alter table items disable trigger cito_stale_update",
        "drop trigger cito_stale_delete on items",
        "create or replace function cito.stale_items() returns trigger language plpgsql as 'begin return null; end'",
    ):
        noted.psql(damage)
        assert await drift(noted.urls.owner, INVALIDATIONS) == ["items"]
        assert await install(noted.urls.owner, INVALIDATIONS) == ["items"]
        assert await drift(noted.urls.owner, INVALIDATIONS) == []


async def test_a_site_whose_triggers_are_not_as_declared_is_not_ready(open_site: OpenSite) -> None:
    async with open_site(plugins=("medications",)) as site:
        assert (await site.client.get("/ready")).json()["checks"]["invalidation triggers"] == "ok"
        with psycopg.connect(site.urls.owner, autocommit=True) as connection:
            connection.execute("alter table medications disable trigger cito_stale_update")
        found = await site.client.get("/ready")
        assert (found.status_code, found.json()["status"]) == (503, "unready")
        assert "not as declared: medications" in found.json()["checks"]["invalidation triggers"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Invalidation(table="nowhere", tags=("a:{b}",), because="x"), "nowhere: no such table"),
        (Invalidation(table="items", tags=("a:{b}",), because="x"), "no column b"),
        (Invalidation(table="items", columns=("b",), tags=("a:{id}",), because="x"), "no column b"),
    ],
)
async def test_a_rule_that_cannot_be_compiled_is_refused_by_name(
    noted: Shelf, rule: Invalidation, message: str
) -> None:
    with pytest.raises(InvalidationError, match=message):
        await install(noted.urls.owner, (rule,))


async def test_a_column_whose_text_depends_on_settings_is_refused(noted: Shelf) -> None:
    noted.psql("alter table items add column seen timestamptz, add column day date default '2026-02-03'")
    with pytest.raises(InvalidationError, match="column seen is a timestamptz"):
        await install(noted.urls.owner, (Invalidation(table="items", tags=("a:{seen}",), because="x"),))
    await install(noted.urls.owner, (Invalidation(table="items", tags=("day:{day}",), because="x"),))
    noted.outbox()
    with psycopg.connect(noted.urls.owner, autocommit=True) as connection:
        connection.execute("set datestyle = 'german'")
        connection.execute("update items set name = 'x'")
    assert noted.outbox() == ["day:2026-02-03"]
