"""Index builder: built, kept, repaired after a failed build, replaced when its declaration changes."""

from __future__ import annotations

from importlib.resources import files

import psycopg
import pytest

from cito.core.database.indexes import IndexBuildError, apply_indexes
from cito.core.database.sql import read_queries
from cito.core.declarations import Index

FLOOR = Index(name="wards_floor", table="wards", serves=("find_ward",), because="wards are listed by floor")
NAMES = Index(name="wards_name_once", table="wards", serves=("find_ward",), because="a test of repair")
DDL = {
    "wards_floor": "create index concurrently wards_floor on wards (floor)",
    "wards_name_once": "create unique index concurrently if not exists wards_name_once on wards (floor)",
}
FILL = """insert into wards select gen_random_uuid(), gen_random_uuid(), 'w' || n, n %% 50
          from generate_series(1, %s) as n"""


def done(outcome):
    return {a.name: a.done for a in outcome.applied}


async def test_missing_is_built_and_present_is_kept(wards):
    wards.admin(FILL, 2000)
    wards.admin("create index by_hand on wards (facts)")
    first = await apply_indexes(wards.urls.owner, [FLOOR], DDL)
    second = await apply_indexes(wards.urls.owner, [FLOOR], DDL)
    assert (done(first), done(second)) == ({"wards_floor": "built"}, {"wards_floor": "kept"})
    assert "by_hand" in second.undeclared
    assert wards.admin("select count(*) from pg_indexes where indexname = 'by_hand'") == [(1,)]


async def test_an_index_is_built_while_a_relay_leads_and_others_migrate(wards):
    """Each waits for its own kind only: their advisory locks are different numbers."""
    wards.admin(FILL, 10)
    folder = files("cito.sql") / "core"
    blocks = [*read_queries(folder / "relay.sql").values(), *read_queries(folder / "migrations.sql").values()]
    locks = [block.text.encode() for block in blocks if "advisory_lock" in block.text]
    with psycopg.connect(wards.urls.owner) as other:
        assert [other.execute(lock).fetchone() for lock in locks] == [(True,), (True,)]
        assert done(await apply_indexes(wards.urls.owner, [FLOOR], DDL)) == {"wards_floor": "built"}


async def test_a_failed_unique_build_is_repaired_once_its_cause_is_gone(wards):
    wards.admin(FILL, 100)
    with pytest.raises(IndexBuildError, match="wards_name_once"):
        await apply_indexes(wards.urls.owner, [NAMES], DDL)
    invalid = "select indisvalid from pg_index where indexrelid = 'wards_name_once'::regclass"
    assert wards.admin(invalid) == [(False,)]
    wards.admin(
        "delete from wards where floor in (select floor from wards group by floor having count(*) > 1)"
    )
    wards.admin(FILL, 49)
    assert done(await apply_indexes(wards.urls.owner, [NAMES], DDL)) == {"wards_name_once": "repaired"}
    assert wards.admin(invalid) == [(True,)]


async def test_a_changed_declaration_replaces_the_index_under_its_name(wards):
    wards.admin(FILL, 10)
    await apply_indexes(wards.urls.owner, [FLOOR], DDL)
    changed = {**DDL, "wards_floor": "create index concurrently wards_floor on wards (floor, name)"}
    assert done(await apply_indexes(wards.urls.owner, [FLOOR], changed)) == {"wards_floor": "replaced"}
    found = wards.admin("select indexdef from pg_indexes where starts_with(indexname, 'wards_floor')")
    assert [d for (d,) in found] == ["CREATE INDEX wards_floor ON public.wards USING btree (floor, name)"]
    assert done(await apply_indexes(wards.urls.owner, [FLOOR], changed)) == {"wards_floor": "kept"}


async def test_a_replacement_that_broke_off_is_begun_anew(wards):
    wards.admin(FILL, 10)
    await apply_indexes(wards.urls.owner, [FLOOR], DDL)
    wards.admin("create index wards_floor__new on wards (name)")
    changed = {**DDL, "wards_floor": "create index concurrently wards_floor on wards (floor desc)"}
    assert done(await apply_indexes(wards.urls.owner, [FLOOR], changed)) == {"wards_floor": "replaced"}


MONTHS = """
    create table logs (at int, id int) partition by range (at);
    create table logs_1 partition of logs for values from (0) to (9);
    create table logs_2 partition of logs for values from (9) to (99);
    insert into logs select n, n from generate_series(0, 98) as n;
    alter table logs owner to cito_owner; alter table logs_1 owner to cito_owner;
    alter table logs_2 owner to cito_owner
"""


async def test_a_partitioned_table_gets_its_index_partition_by_partition(wards):
    """PostgreSQL refuses to build it concurrently; a build that broke off in the middle is taken up again."""
    wards.admin(MONTHS)
    index = Index(name="logs_at", table="logs", serves=("find_ward",), because="events by their time")

    async def applied(columns: str) -> str:
        ddl = {"logs_at": f"create index concurrently logs_at on logs ({columns})"}
        return done(await apply_indexes(wards.urls.owner, [index], ddl))["logs_at"]

    assert [await applied("at"), await applied("at")] == ["built", "kept"]
    assert [await applied("at, id"), await applied("id"), await applied("at")] == ["replaced"] * 3
    wards.admin("drop index logs_at; create index logs_at on only logs (at)")
    assert await applied("at") == "repaired"
    wards.admin("create table logs_3 partition of logs for values from (99) to (999)")
    found = wards.admin(
        "select indrelid::regclass::text, indisvalid from pg_index where indrelid::regclass::text like 'logs%%'"
    )
    assert sorted(found) == [("logs", True), ("logs_1", True), ("logs_2", True), ("logs_3", True)]
    outcome = await apply_indexes(wards.urls.owner, [], {})
    assert [name for name in outcome.undeclared if "logs" in name] == ["logs_at"]


async def test_progress_is_told_while_a_build_waits(wards):
    """An open transaction holds the build back, so that its phases can be seen without a clock."""
    wards.admin(FILL, 10)
    seen: list[tuple[str, str]] = []
    with psycopg.connect(wards.urls.admin) as holder:
        holder.execute("update wards set floor = 1")

        def progress(name: str, phase: str, share: float) -> None:
            assert 0 <= share <= 1
            seen.append((name, phase))
            holder.rollback()

        await apply_indexes(wards.urls.owner, [FLOOR], DDL, progress=progress)
    assert seen[0] == ("wards_floor", "waiting for writers before build")


@pytest.mark.parametrize(
    ("ddl", "said"),
    [
        ({}, "no indexes.sql has a block of that name"),
        ({"wards_floor": "create index wards_floor on wards (floor)"}, "write `create index concurrently"),
        ({"wards_floor": "create index concurrently other on wards (floor)"}, "builds other on wards"),
        ({"wards_floor": "create index concurrently wards_floor on wards (storey)"}, 'column "storey"'),
    ],
)
async def test_a_bad_declaration_is_named(wards, ddl, said):
    with pytest.raises(IndexBuildError, match="index wards_floor: ") as refused:
        await apply_indexes(wards.urls.owner, [FLOOR], ddl)
    assert said in str(refused.value)
