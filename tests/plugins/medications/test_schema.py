"""The table and its functions: up, down and up again on real data; rules that hold whoever writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from support import Site

from cito.core.database.migrations import MigrationError, migrate, roll_back
from cito.core.database.sql import read_ddl
from cito.core.ids import new_id
from cito.plugins.medications.ndc import normalise_ndc
from cito.plugins.medications.plugin import plugin
from cito.plugins.medications.seed import load_formulary, read_formulary

INSERT = "insert into medications (id, name, generic_name, dosage_form, ndc) values (%s, %s, 'g', 'f', %s)"


@pytest.fixture
def owner(empty_formulary: Site) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_formulary.urls.owner, autocommit=True) as connection:
        yield connection


def catalogue(owner: psycopg.Connection) -> Counter[tuple[str, str]]:
    rows = owner.execute(
        "select 'function', oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace "
        "and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e') union all "
        "select relkind::text, relname from pg_class where relname like 'medications%' union all "
        "select 'constraint', conname from pg_constraint where conrelid = to_regclass('medications')"
    ).fetchall()
    return Counter((kind, name) for kind, name in rows)


async def test_down_and_up_again_on_real_data(empty_formulary: Site, owner: psycopg.Connection) -> None:
    folders, url = empty_formulary.assembly.migration_sources, empty_formulary.urls.owner
    await seed(url)
    for statement in read_ddl(plugin.sql / "indexes.sql").values():
        owner.execute(statement.replace("concurrently", "if not exists"))
    before = catalogue(owner)
    with pytest.raises(MigrationError, match="medications holds rows"):
        await roll_back(url, folders, "medications")
    assert await roll_back(url, folders, "medications", drop_data=True) == ["medications_0001_formulary"]
    assert not [name for name in catalogue(owner) if "formulary" in name[1] or "medications" in name[1]]
    assert await migrate(url, folders) == ["medications_0001_formulary"]
    for statement in read_ddl(plugin.sql / "indexes.sql").values():
        owner.execute(statement)
    assert catalogue(owner) == before
    await seed(url)
    assert owner.execute("select count(*) from medications").fetchone() == (len(list(read_formulary())),)


async def seed(url: str, count: int | None = None) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await load_formulary(connection, count, lambda *done: told.append(done))
    return told


async def test_the_seed_tells_its_progress_and_runs_once(
    empty_formulary: Site, owner: psycopg.Connection
) -> None:
    url = empty_formulary.urls.owner
    assert (await seed(url, 450)) == [(200, 450), (400, 450), (450, 450)]
    assert await seed(url) == []
    assert owner.execute("select count(*) from medications").fetchone() == (450,)


def test_the_demo_formulary_is_real_and_says_no_more_than_it_knows() -> None:
    rows = list(read_formulary())
    names = [row[0] for row in rows]
    assert len(rows) >= 500
    assert len(set(names)) == len(names)
    assert len({row[1] for row in rows}) >= 500, "different medicines, not strengths of a few"
    assert all(row[5] is None or normalise_ndc(row[5]) == row[5] for row in rows)
    assert {row[6] for row in rows} == {"true", "false"}
    controlled = {str(row[1]).split()[0] for row in rows if row[6] == "true"}
    assert {"alprazolam", "methylphenidate", "oxycodone", "pregabalin", "testosterone"} <= controlled
    assert not {"acetaminophen", "ibuprofen", "amoxicillin", "insulin", "naloxone"} & (
        controlled - {"acetaminophen"}
    )


@pytest.mark.parametrize("wrong", ["0777-3105-02", "00777310502", "00777-3105-0", "", "x"])
def test_the_table_keeps_codes_in_one_form_whoever_writes(owner: psycopg.Connection, wrong: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(INSERT, (new_id(), "n", wrong))


def test_the_table_keeps_codes_unique_and_many_unknown(owner: psycopg.Connection) -> None:
    for _ in range(2):
        owner.execute(INSERT, (new_id(), "n", None))
    owner.execute(INSERT, (new_id(), "n", "00777-3105-02"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute(INSERT, (new_id(), "n", "00777-3105-02"))


def test_every_write_moves_the_version_on(owner: psycopg.Connection) -> None:
    made = new_id()
    owner.execute(INSERT, (made, "n", None))
    owner.execute("update medications set name = 'm', version = 77 where id = %s", (made,))
    found = owner.execute("select version, updated_at > created_at from medications").fetchone()
    assert found == (2, True)


async def test_a_write_by_sql_is_seen_by_the_api(formulary: Site) -> None:
    """The database itself says what is stale: nobody tells the API."""
    path, headers = "/api/medications?search=ozempic", formulary.headers()
    before = (await formulary.client.get(path, headers=headers)).json()["medications"]
    with psycopg.connect(formulary.urls.owner, autocommit=True) as owner:
        owner.execute("update medications set manufacturer = 'By SQL' where id = %s", (before[0]["id"],))

    async def shown() -> object:
        return (await formulary.client.get(path, headers=headers)).json()["medications"][0]["manufacturer"]

    async with asyncio.timeout(10):
        while await shown() != "By SQL":  # noqa: ASYNC110 - polls as a client does
            await asyncio.sleep(0.02)
