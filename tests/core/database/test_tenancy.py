"""Clinics are kept apart twice: by the query's predicate and by the policy. Each alone holds."""

from __future__ import annotations

import asyncio
import random
from importlib.resources import files
from uuid import uuid4

import psycopg
import pytest

from cito.core.database import errors
from cito.core.database.sql import read_queries
from cito.core.database.tenancy import tenancy_violations

A, B = uuid4(), uuid4()
ASKED = read_queries(files("cito.sql") / "core" / "tenancy.sql")["tenancy_violations"].text.encode()


@pytest.fixture
async def two_clinics(wards, database):
    """A ward in each clinic; returns their ids."""
    return await wards.new(database, A, "Ward of A"), await wards.new(database, B, "Ward of B")


async def leaks(wards, database, two_clinics) -> set[str]:
    """What clinic A gets to see of clinic B's ward: by the key with its own clinic, by B's, by no predicate."""
    reader = database.reader(A)
    found = set()
    if await wards.find.one(reader, wards.WardKey(A, two_clinics[1])):
        found.add("by its own clinic")
    if await wards.find.one(reader, wards.WardKey(B, two_clinics[1])):
        found.add("by the other clinic")
    if any(w.clinic_id == B for w in await wards.unfiltered.all(reader, wards.Nothing())):
        found.add("by a forgotten predicate")
    return found


async def test_both_layers_hold(wards, database, two_clinics):
    assert await leaks(wards, database, two_clinics) == set()


async def test_without_the_predicate_the_policy_holds(wards, database, two_clinics):
    seen = await wards.unfiltered.all(database.reader(A), wards.Nothing())
    assert [w.name for w in seen] == ["Ward of A"]


async def test_without_the_policy_the_predicate_holds(wards, database, two_clinics):
    wards.admin("alter table wards disable row level security")
    assert "by its own clinic" not in await leaks(wards, database, two_clinics)


async def test_without_both_this_test_notices(wards, database, two_clinics):
    wards.admin("alter table wards disable row level security")
    assert await leaks(wards, database, two_clinics) == {"by the other clinic", "by a forgotten predicate"}


async def test_what_the_owner_may_the_application_may_not(wards, database, two_clinics):
    """Not forcing the policy opens the table to its owner alone, and the application owns nothing."""
    wards.admin("alter table wards no force row level security")
    assert await leaks(wards, database, two_clinics) == set()


async def test_a_missing_clinic_sees_and_writes_nothing(wards, database, two_clinics):
    assert await wards.unfiltered.all(database.reader(None), wards.Nothing()) == []
    with pytest.raises(errors.NotAllowed):
        async with database.transaction(None) as tx:
            await wards.add.run(tx, wards.NewWard(A, uuid4(), "x"))


async def test_the_clinic_ends_with_its_transaction(wards, two_clinics):
    """One connection serves A, then nobody: nothing of A's scope is left on it."""
    async with wards.open(pool_max=1) as database:
        assert len(await wards.unfiltered.all(database.reader(A), wards.Nothing())) == 1
        async with database.transaction(A) as tx:
            await wards.unfiltered.all(tx, wards.Nothing())
        with pytest.raises(errors.DatabaseProblem):
            async with database.transaction(A) as tx:
                await wards.add_bed.run(tx, wards.NewBed(A, A, A, "x"))
        assert await wards.unfiltered.all(database.reader(None), wards.Nothing()) == []


async def test_a_key_neither_reaches_into_nor_reveals_another_clinic(wards, database, two_clinics):
    """The answer to a bed in B's ward is the same whether that ward exists or not; B's names and ids are free."""
    said = []
    for ward in (two_clinics[1], uuid4()):
        with pytest.raises(errors.ForeignKeyViolation) as refused:
            async with database.transaction(A) as tx:
                await wards.add_bed.run(tx, wards.NewBed(A, uuid4(), ward, "1"))
        said.append((str(refused.value), refused.value.constraint))
    assert said[0] == said[1]
    async with database.transaction(A) as tx:
        await wards.add.run(tx, wards.NewWard(A, two_clinics[1], "Ward of B"))


async def test_copy_does_not_pass_a_policy_and_a_staging_table_does(wards, database):
    """What is inserted from the staging table is judged row by row: another clinic's row refuses them all."""
    insert = "insert into wards (clinic_id, id, name) select clinic_id, id, name from staged"
    with psycopg.connect(wards.urls.app) as app, app.cursor() as cursor:
        cursor.execute("select set_config('cito.clinic_id', %s, false)", (str(A),))
        with pytest.raises(psycopg.errors.FeatureNotSupported), app.transaction():
            cursor.execute("copy wards (clinic_id, id, name) from stdin")
        cursor.execute("create temporary table staged as select clinic_id, id, name from wards with no data")
        for clinic in (A, B):
            with cursor.copy("copy staged from stdin") as copy:
                copy.write_row((clinic, uuid4(), f"Ward of {clinic}"[:40]))
            if clinic == A:
                cursor.execute(insert)
                assert cursor.rowcount == 1
                app.commit()
                cursor.execute("truncate staged")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cursor.execute(insert)
    assert len(await wards.unfiltered.all(database.reader(A), wards.Nothing())) == 1
    assert await wards.unfiltered.all(database.reader(B), wards.Nothing()) == []


@pytest.mark.parametrize(
    "count", [4_000, pytest.param(100_000, marks=[pytest.mark.full, pytest.mark.timeout(600)])]
)
async def test_no_answer_crosses_clinics_whatever_is_cancelled(wards, count):
    """Mixed clinics over four connections; every fifth caller leaves at a random moment."""
    clinics = [uuid4() for _ in range(20)]
    chance = random.Random(7)
    crossed, answered, left = 0, 0, 0
    async with wards.open(pool_max=4) as database:
        own = {clinic: await wards.new(database, clinic, f"Ward of {clinic}"[:40]) for clinic in clinics}

        async def request(clinic, writes: bool) -> None:
            nonlocal crossed, answered
            key = wards.WardKey(clinic, own[clinic])
            if writes:
                async with database.transaction(clinic) as tx:
                    seen = await wards.unfiltered.all(tx, wards.Nothing())
                    await wards.rename.one(tx, wards.Rename(clinic, key.id, f"Ward of {clinic}"[:40]))
                crossed += [w.clinic_id for w in seen] != [clinic]
            else:
                seen = await wards.unfiltered.all(database.reader(clinic), wards.Nothing())
                ward = await wards.find.one(database.reader(clinic), key)
                crossed += [w.clinic_id for w in seen] != [clinic] or ward.id != key.id
            answered += 1

        async def caller() -> None:
            nonlocal left
            for _ in range(count // 40):
                task = asyncio.create_task(request(chance.choice(clinics), chance.random() < 0.2))
                if chance.random() < 0.2:
                    for _ in range(chance.randrange(12)):
                        await asyncio.sleep(0)
                    left += task.cancel()
                await asyncio.wait((task,))
                if not task.cancelled() and task.exception():
                    raise task.exception()

        await asyncio.gather(*(caller() for _ in range(40)))
        assert len(await wards.unfiltered.all(database.reader(clinics[0]), wards.Nothing())) == 1
    assert crossed == 0
    assert answered > count / 2
    assert left > count / 20


async def test_the_catalogue_has_nothing_to_say_of_a_sound_schema(wards):
    assert await tenancy_violations(wards.urls.owner) == []


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        ("alter table wards disable row level security", "row-level security is not forced"),
        ("alter table wards no force row level security", "row-level security is not forced"),
        ("drop policy clinic on wards", "no policy compares clinic_id"),
        ("create policy open on wards using (true)", "a second permissive policy opens it: open"),
        ("create unique index on wards (id)", "a unique key without clinic_id reveals"),
        ("alter table beds add unique (id)", "a unique key without clinic_id reveals"),
        ("create table notes (id int primary key, clinic_id uuid, ward_id uuid)", "clinic_id may be null"),
        (
            """create unique index ward_ids on wards (id);
            alter table beds add constraint short foreign key (ward_id) references wards (id)""",
            "a foreign key reaches into other clinics: short",
        ),
        (
            """create table notes (a uuid, b uuid);
            alter table notes add constraint far foreign key (a, b) references wards (clinic_id, id)""",
            "a foreign key reaches into other clinics: far",
        ),
        (
            "create view names as select name from wards; grant select on names to cito_app",
            "a view reads clinic rows with its owner's eyes",
        ),
        (
            "create materialized view names as select name from wards; grant select on names to cito_app",
            "a view reads clinic rows with its owner's eyes",
        ),
        (
            "create function f() returns int language sql security definer as 'select 1'",
            "a SECURITY DEFINER function without a pinned search path",
        ),
        ("alter table wards owner to cito_app", "the application role owns it"),
        (
            """create table logs (clinic_id uuid not null, id int) partition by range (id);
            alter table logs enable row level security; alter table logs force row level security;
            create policy clinic on logs
            using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
            create table logs_1 partition of logs for values from (0) to (9); grant select on logs_1 to cito_app""",
            "row-level security is not forced",
        ),
    ],
)
def test_the_catalogue_names_each_broken_rule(shared_wards, breaking, said):
    with psycopg.connect(shared_wards.urls.admin) as admin:
        admin.execute(breaking)
        assert any(broken.startswith(said) for _, broken, _ in admin.execute(ASKED).fetchall())
        admin.rollback()
