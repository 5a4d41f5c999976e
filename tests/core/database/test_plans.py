"""Plans and reports: what serves a query is proved as the application role, functions' insides included."""

from __future__ import annotations

import msgspec
import pytest

from cito.core.database.errors import DatabaseProblem
from cito.core.database.examples import ExampleError
from cito.core.database.indexes import apply_indexes
from cito.core.database.plans import PLANS, explain, rehearsal
from cito.core.database.proofs import verify_indexes
from cito.core.database.reports import index_report, query_report
from cito.core.database.sql import NamedQuery
from cito.core.declarations import Index

ROWS = 5_000
LARGE = 2_000  # far from it: PostgreSQL estimates the size of a table
FILL = """insert into wards select '00000000-0000-0000-0000-00000000000a', gen_random_uuid(), 'w' || n, n
          from generate_series(1, %s) as n"""
FLOOR = Index(name="wards_floor", table="wards", serves=("by_floor",), because="wards are listed by floor")
DDL = {"wards_floor": "create index concurrently wards_floor on wards (clinic_id, floor)"}
FIND = """create function ward_ids(clinic uuid, wanted int) returns setof uuid language sql stable
          security definer set search_path = public, pg_temp
          as 'select id from wards where clinic_id = clinic and floor = wanted'"""

SEVENTH = "select clinic_id, 7 as floor from wards limit 1"
SMALL = """
    insert into beds (clinic_id, id, ward_id, label)
    select clinic_id, gen_random_uuid(), id, name from wards where floor < 20;
    create index beds_label on beds (clinic_id, label)
"""
PARTITIONED = """
    create table cito.logs (at int, id int) partition by range (at);
    create table cito.logs_1 partition of cito.logs for values from (0) to (1000);
    create table cito.logs_2 partition of cito.logs for values from (1000) to (3000);
    insert into cito.logs select mod(n, 1000), n from generate_series(1, 20000) as n;
    insert into cito.logs values (2000, 1);
    alter table cito.logs owner to cito_owner; alter table cito.logs_1 owner to cito_owner;
    alter table cito.logs_2 owner to cito_owner; grant select on cito.logs to cito_app
"""


class Floor(msgspec.Struct):
    floor: int


def query(name: str, text: str, *parameters: str, examples: tuple[str, ...] = ()) -> NamedQuery:
    return NamedQuery(
        name=name,
        doc="",
        parameters=parameters,
        target_ms=5,
        returns="many",
        text=text,
        source="t.sql:1",
        examples=examples,
    )


BY_FLOOR = query("by_floor", "select id from wards where clinic_id = $1 and floor = $2", "clinic_id", "floor")


@pytest.fixture(scope="module")
async def indexed(wards_for):
    """Wards with their index, which is only copied."""
    with wards_for() as wards:
        wards.admin(FILL, ROWS)
        await apply_indexes(wards.urls.owner, [FLOOR], DDL)
        yield wards


@pytest.fixture
def filled(wards_for, indexed):
    """A copy of the test's own."""
    with wards_for(indexed) as wards:
        yield wards


async def verdict(wards, asked: NamedQuery, index=FLOOR, large_rows=LARGE):
    (proof,) = await verify_indexes(wards.urls.owner, wards.urls.app, [asked], [index], large_rows=large_rows)
    return proof


async def test_a_served_query_is_proven_with_values_sampled_from_the_data(filled):
    proof = await verdict(filled, BY_FLOOR)
    assert (proof.verdict, proof.unused, proof.scanned) == ("proven", (), ())
    assert "wards_floor" in "\n".join(proof.plan)


async def test_an_index_used_inside_a_function_counts(filled):
    filled.admin(FIND)
    filled.admin(
        "grant execute on function ward_ids to cito_app; alter function ward_ids owner to cito_search"
    )
    inside = query(
        "by_floor",
        "select * from ward_ids($1, $2)",
        "clinic_id",
        "floor",
        examples=("select clinic_id, 7 as floor from wards limit 1",),
    )
    proof = await verdict(filled, inside)
    assert proof.verdict == "proven"
    assert "wards_floor" not in "\n".join(proof.plan)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("select id from wards where clinic_id = $1 and floor + 0 = $2", "does not use wards_floor"),
        ("select count(name) from wards where clinic_id = $1 or -floor = $2", "reads all of wards"),
    ],
)
async def test_a_query_that_lost_its_index_fails_with_its_plan(filled, text, because):
    proof = await verdict(filled, query("by_floor", text, "clinic_id", "floor"))
    assert proof.verdict == "failed"
    assert because in proof.because
    assert any("wards" in line for line in proof.plan)


async def test_a_policy_that_costs_the_index_is_seen_because_the_application_role_plans(filled):
    """numeric comparison is not leakproof: as the owner the index serves, under the policy it may not."""
    filled.admin("create index wards_floor_numeric on wards ((floor::numeric))")
    numeric = Index(name="wards_floor_numeric", table="wards", serves=("by_floor",), because="a trap")
    asked = query("by_floor", "select id from wards where floor::numeric = $1::numeric", "floor")
    assert (await verdict(filled, asked, numeric)).unused == ("wards_floor_numeric",)
    filled.admin("alter table wards disable row level security")
    assert (await verdict(filled, asked, numeric)).verdict == "proven"


async def test_an_index_that_only_the_planner_looks_at_is_unused(filled):
    """To judge a value at the end of the histogram the planner asks the index for its last entry."""
    filled.admin("create index ends on wards (floor)")
    ends = Index(name="ends", table="wards", serves=("by_floor",), because="a trap")
    asked = query(
        "by_floor", "select id from wards where clinic_id = $1 and id = $2 and floor > $3::int",
        "clinic_id", "id", "floor",
        examples=("select clinic_id, id, 4955 as floor from wards limit 1",),
    )  # fmt: skip
    proof = await verdict(filled, asked, ends)
    assert proof.unused == ("ends",), "\n".join(proof.plan)


async def test_on_a_small_table_it_is_only_shown_that_the_index_could_serve(filled):
    assert (await verdict(filled, BY_FLOOR, large_rows=2 * ROWS)).verdict == "usable"


async def test_beside_a_small_table_a_large_one_may_not_be_read_whole(filled):
    """The small one is read whole, and rightly; its index is shown to serve without that."""
    filled.admin(SMALL)
    beds = Index(name="beds_label", table="beds", serves=("by_floor",), because="a small table")
    text = "select b.id from wards as w, beds as b where w.clinic_id = $1 and w.floor {} and b.label = w.name"
    for comparison, said in (("= $2", ("proven", ())), ("+ 0 = $2", ("failed", ("wards_floor",)))):
        asked = query("by_floor", text.format(comparison), "clinic_id", "floor", examples=(SEVENTH,))
        (proof,) = await verify_indexes(
            filled.urls.owner, filled.urls.app, [asked], [FLOOR, beds], large_rows=LARGE
        )
        assert (proof.verdict, proof.unused) == said, "\n".join(proof.plan)
        assert proof.because.endswith("beds is small")


async def test_without_values_nothing_is_proven(filled, wards):
    asked = query("by_floor", "select id from wards where name = $1 and $2::int = 1", "name", "strange")
    assert (await verdict(filled, asked)).verdict == "unproven"
    for wrong, said in (
        ("select nothing_there", "column"),
        ("select 1 as flor", "names flor, which it does not"),
    ):
        with pytest.raises(ExampleError, match=f"by_floor: its example: {said}"):
            await verdict(filled, msgspec.structs.replace(asked, examples=(wrong,)))


async def test_each_way_of_asking_is_tried_and_what_its_example_leaves_out_is_null(filled):
    """One of the two ways reads the whole table: the plan that is shown is that one's."""
    clinic = "select clinic_id from wards limit 1"
    asked = query(
        "by_floor", "select id from wards where clinic_id = $1 and floor = coalesce($2::int, floor)",
        "clinic_id", "floor",
        examples=(clinic.replace("clinic_id", "clinic_id, 7 as floor"), clinic),
    )  # fmt: skip
    assert (
        await verdict(filled, msgspec.structs.replace(asked, examples=asked.examples[:1]))
    ).verdict == "proven"
    both = await verdict(filled, asked)
    assert (both.verdict, both.unused, both.scanned) == ("failed", (), ("wards",))
    assert "Seq Scan on wards" in "\n".join(both.plan)


async def test_a_query_that_says_why_may_read_a_whole_table(filled):
    asked = query(
        "all_wards",
        "select string_agg(name, null) from wards where clinic_id = $1 or -floor = $2",
        "clinic_id",
        "floor",
    )
    assert (await verdict(filled, asked)).verdict == "failed"
    proof = await verdict(filled, msgspec.structs.replace(asked, scans="all of it is wanted"))
    assert (proof.verdict, proof.because) == ("proven", "reads all of wards: all of it is wanted")


async def test_an_index_of_a_partitioned_table_is_proven_by_its_partitions(filled):
    """The newest month is nearly empty, and may be read whole; the full one may not."""
    filled.admin(PARTITIONED)
    asked = query(
        "logs_at",
        "select id from cito.logs where at = $1::int or at = 2000",
        "at",
        examples=("select 7 as at",),
    )
    index = Index(name="logs_at", table="cito.logs", serves=("logs_at",), because="events by their time")
    assert (await verdict(filled, asked, index)).unused == ("logs_at",)
    ddl = {"logs_at": "create index concurrently logs_at on cito.logs (at)"}
    await apply_indexes(filled.urls.owner, [index], ddl)
    assert (await verdict(filled, asked, index)).verdict == "proven"


async def test_a_statement_that_writes_is_planned_and_undone(filled):
    write = query("by_floor", "delete from wards where clinic_id = $1 and floor = $2", "clinic_id", "floor")
    assert (await verdict(filled, write)).verdict == "proven"
    assert filled.admin("select count(*) from wards") == [(5000,)]


async def test_a_plan_as_a_tree_and_as_json_and_without_values(filled):
    clinic = "00000000-0000-0000-0000-00000000000a"
    async with rehearsal(filled.urls.app) as app:
        await app.execute(PLANS["set_scope"].encode(), (clinic,))
        plan = await explain(app, BY_FLOOR, (clinic, 7))
        generic = await explain(app, BY_FLOOR, None)
        with pytest.raises(DatabaseProblem) as refused:
            await explain(app, BY_FLOOR, (clinic, "secret"))
    assert any("Index Scan by wards_floor on wards: 1 rows (" in line for line in plan.tree())
    assert plan.tree()[-1].startswith("planned in ")
    assert clinic not in msgspec.json.encode(generic).decode()
    assert generic.execution_ms is None
    assert "secret" not in str(refused.value)


async def test_statements_are_reported_by_name_beside_their_target(filled):
    limited = query("first_wards", "select id from wards where floor > $1::int limit 20", "floor")
    queries = {q.name: q for q in (limited, BY_FLOOR)}
    filled.queries = queries
    async with filled.open() as database:
        for n in range(25):
            await database.reader(None).execute("first_wards", Floor(n))
    (row,) = await query_report(filled.urls.owner, filled.urls.app, queries)
    assert (row.name, row.calls, row.target_ms, row.met) == ("first_wards", 25, 5, True)
    assert 0 < row.time_share <= 1
    assert row.p95_ms >= row.mean_ms


async def test_indexes_are_reported_with_scans_size_and_duplicates(filled):
    filled.admin(
        "create index wards_floor_again on wards (clinic_id, floor); create index odd on wards (floor)"
    )
    await verdict(filled, BY_FLOOR)
    report = {one.name: one for one in await index_report(filled.urls.owner, [FLOOR])}
    assert {name for name, one in report.items() if one.duplicate_of} & {"wards_floor", "wards_floor_again"}
    assert report["odd"].duplicate_of is None
    assert (report["wards_floor"].declared, report["odd"].declared) == (True, False)
    assert sum(one.scans for one in report.values() if one.table == "wards") > 0
    assert report["odd"].bytes > report["odd"].bloat_bytes >= 0
