"""Migrations: once, in order, undone as a whole, by ten nodes at a time."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from cito.core.database.migrations import MigrationError, migrate, pending, read_migrations, roll_back

CORE = ("core", files("cito.sql") / "core")


def write(folder: Path, **scripts: str) -> tuple[str, Path]:
    directory = folder / "migrations"
    directory.mkdir(exist_ok=True)
    for name, text in scripts.items():
        (directory / f"{name.replace('__rollback', '.rollback')}.sql").write_text(text)
    return ("inn", folder)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("select relname from pg_class where relname like 'inn%' and relkind = 'r'")
        return {name for (name,) in found}


async def test_ten_nodes_that_start_together_apply_each_once(empty_database, tmp_path):
    inn = write(tmp_path, inn_0001_rooms="create table inn_rooms (id int); insert into inn_rooms values (1);")
    did = await asyncio.gather(*(migrate(empty_database.owner, [CORE, inn]) for _ in range(10)))
    assert sorted(d for each in did for d in each) == [m.id for m in read_migrations([CORE, inn])]
    with psycopg.connect(empty_database.owner) as connection:
        assert connection.execute("select count(*) from inn_rooms").fetchone() == (1,)


async def test_up_down_up_leaves_nothing_behind(empty_database, tmp_path):
    inn = write(
        tmp_path,
        inn_0001_rooms="create table inn_rooms (id int);",
        inn_0001_rooms__rollback="drop table inn_rooms;",
        inn_0002_guests="create table inn_guests (name text);",
        inn_0002_guests__rollback="drop table inn_guests;",
    )
    await migrate(empty_database.owner, [CORE, inn])
    assert await roll_back(empty_database.owner, [CORE, inn], "inn") == ["inn_0002_guests", "inn_0001_rooms"]
    assert tables(empty_database.owner) == set()
    assert await migrate(empty_database.owner, [CORE, inn]) == ["inn_0001_rooms", "inn_0002_guests"]


async def test_the_core_itself_goes_up_down_up(empty_database):
    await migrate(empty_database.owner, [CORE])
    await roll_back(empty_database.owner, [CORE], "core", drop_data=True)
    assert await migrate(empty_database.owner, [CORE])


async def test_filled_tables_are_dropped_only_when_told(empty_database, tmp_path):
    inn = write(
        tmp_path,
        inn_0001_rooms="create table inn_rooms (id int); insert into inn_rooms values (1);",
        inn_0001_rooms__rollback="drop table inn_rooms;",
    )
    await migrate(empty_database.owner, [CORE, inn])
    with pytest.raises(MigrationError, match="inn_rooms holds rows"):
        await roll_back(empty_database.owner, [CORE, inn], "inn")
    with pytest.raises(MigrationError, match="applied migrations have no files"):
        await roll_back(empty_database.owner, [CORE], "inn", drop_data=True)
    assert tables(empty_database.owner) == {"inn_rooms"}
    await roll_back(empty_database.owner, [CORE, inn], "inn", drop_data=True)
    assert tables(empty_database.owner) == set()


async def test_a_failure_undoes_its_file_and_keeps_the_ones_before(empty_database, tmp_path):
    inn = write(
        tmp_path,
        inn_0001_rooms="create table inn_rooms (id int);",
        inn_0002_guests="create table inn_guests (id int); insert into inn_guests values ('secret');",
    )
    with pytest.raises(MigrationError, match="inn_0002_guests") as failed:
        await migrate(empty_database.owner, [CORE, inn])
    assert failed.value.__suppress_context__
    assert tables(empty_database.owner) == {"inn_rooms"}
    assert [m.id for m in await pending(empty_database.owner, [CORE, inn])] == ["inn_0002_guests"]


async def test_a_changed_file_is_refused(empty_database, tmp_path):
    inn = write(tmp_path, inn_0001_rooms="create table inn_rooms (id int);")
    await migrate(empty_database.owner, [CORE, inn])
    write(tmp_path, inn_0001_rooms="create table inn_rooms (id bigint);")
    with pytest.raises(MigrationError, match="inn_0001_rooms was changed after it was applied"):
        await migrate(empty_database.owner, [CORE, inn])


async def test_statements_that_refuse_a_transaction_run_one_by_one(empty_database, tmp_path):
    inn = write(
        tmp_path,
        inn_0001_rooms="create table inn_rooms (id int);",
        inn_0002_index="""-- transactional: false
            create index concurrently inn_rooms_id on inn_rooms (id); -- one; more
            create function inn_f() returns text language sql as $$ select 'a;b'; $$;""",
    )
    await migrate(empty_database.owner, [CORE, inn])
    with psycopg.connect(empty_database.owner) as connection:
        assert connection.execute("select inn_f()").fetchone() == ("a;b",)


async def test_a_locked_table_is_waited_for_a_bounded_time(empty_database, tmp_path, monkeypatch):
    monkeypatch.setattr("cito.core.database.migrations.LOCK_TIMEOUT_MS", 20)
    first = write(tmp_path, inn_0001_rooms="create table inn_rooms (id int);")
    await migrate(empty_database.owner, [CORE, first])
    second = write(tmp_path, inn_0002_more="alter table inn_rooms add column name text;")
    with psycopg.connect(empty_database.owner) as holder:
        holder.execute("select from inn_rooms")
        with pytest.raises(MigrationError, match="inn_0002_more: a table stayed locked"):
            await migrate(empty_database.owner, [CORE, second])


async def test_a_table_that_is_free_in_time_is_altered_after_all(empty_database, tmp_path, monkeypatch):
    monkeypatch.setattr("cito.core.database.migrations.LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr("cito.core.database.migrations._LOCK_ATTEMPTS", 1000)
    await migrate(
        empty_database.owner, [CORE, write(tmp_path, inn_0001_rooms="create table inn_rooms (id int);")]
    )
    inn = write(tmp_path, inn_0002_more="alter table inn_rooms add column name text;")
    holder = psycopg.connect(empty_database.owner)
    holder.execute("set idle_in_transaction_session_timeout = 500")
    holder.commit()
    holder.execute("select from inn_rooms")
    assert await migrate(empty_database.owner, [CORE, inn]) == ["inn_0002_more"]
    holder.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inn_1_rooms", "write inn_0001_what_it_does.sql"),
        ("out_0001_rooms", "write inn_0001_what_it_does.sql"),
        ("inn_0001_other", "another migration numbered 0001"),
    ],
)
def test_file_names_say_plugin_number_and_purpose(tmp_path, name, said):
    with pytest.raises(MigrationError, match=said):
        read_migrations([write(tmp_path, inn_0001_rooms="select 1", **{name: "select 1"})])


async def test_a_missing_extension_says_what_to_do(empty_database, monkeypatch):
    monkeypatch.setattr("cito.core.database.migrations.EXTENSIONS", ("pg_trgm", "no_such_extension"))
    with pytest.raises(MigrationError, match=r"no_such_extension: .* contrib"):
        await migrate(empty_database.owner, [CORE])
    monkeypatch.setattr("cito.core.database.migrations.EXTENSIONS", ("pageinspect",))
    with pytest.raises(MigrationError, match=r"pageinspect: (the server lacks it|run `create extension)"):
        await migrate(empty_database.owner, [CORE])
