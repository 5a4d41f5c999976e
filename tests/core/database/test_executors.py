"""Readers and transactions: types there and back, tags after the commit, nothing after a rollback."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from cito.core.database import errors
from cito.core.database.parameters import ParameterError
from cito.core.database.query import Query
from cito.core.telemetry import Record, What, current_record

A, B = uuid4(), uuid4()


@pytest.fixture
def wards(shared_wards):
    return shared_wards


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture(autouse=True)
def clinic_of_its_own(monkeypatch):
    """Each test works in a clinic that no other test has written to."""
    monkeypatch.setitem(globals(), "A", uuid4())


class Types(msgspec.Struct, frozen=True):
    t: str | None
    u: object
    i: int | None
    f: float | None
    b: bool | None
    n: Decimal | None
    m: datetime | None
    d: date | None
    y: bytes | None
    a: list[str] | None
    j: dict[str, object] | None


async def test_a_write_is_read_back_and_its_tags_reach_the_cache(wards, database):
    told: list[str] = []

    async def committed(tags):
        told.extend(tags)

    database.committed = committed
    ward = await wards.new(database, A, "East", floor=3, facts=wards.Facts(beds=4))
    found = await wards.find.one(database.reader(A), wards.WardKey(A, ward))
    assert found == wards.Ward(ward, "East", 3, wards.Facts(beds=4))
    assert told == [f"ward:{ward}"]


async def test_a_rolled_back_transaction_tells_nothing_and_leaves_nothing(wards, database):
    told: list[str] = []

    async def committed(tags):
        told.extend(tags)

    database.committed = committed
    ward = uuid4()
    with pytest.raises(RuntimeError):
        async with database.transaction(A) as tx:
            await wards.add.run(tx, wards.NewWard(A, ward, "East"))
            raise RuntimeError
    assert await wards.find.one(database.reader(A), wards.WardKey(A, ward)) is None
    assert told == []


async def test_a_transaction_tells_only_its_own_tags(wards, database):
    told: list[set[str]] = []

    async def committed(tags):
        told.append(set(tags))

    database.committed = committed
    async with database.transaction(A) as one, database.transaction(A) as two:
        first, second = uuid4(), uuid4()
        await wards.add.run(one, wards.NewWard(A, first, "East"))
        await wards.add.run(two, wards.NewWard(A, second, "West"))
    assert told == [{f"ward:{second}"}, {f"ward:{first}"}]


async def test_a_commit_stands_whatever_the_cache_says_to_it(wards, database, caplog):
    async def committed(tags):
        raise RuntimeError

    database.committed = committed
    ward = await wards.new(database, A, "East")
    assert await wards.find.one(database.reader(A), wards.WardKey(A, ward))
    assert "the relay will tell it" in caplog.text


async def test_an_unused_transaction_costs_nothing(database):
    acquired = database.figures().acquired
    async with database.transaction(A):
        pass
    assert database.figures().acquired == acquired


async def test_a_reader_cannot_write(wards, database):
    with pytest.raises(errors.DatabaseProblem) as refused:
        await wards.rename.one(database.reader(A), wards.Rename(A, uuid4(), "x"))
    assert refused.value.sqlstate == "25006"


async def test_a_failed_statement_fails_the_commit_even_when_it_was_caught(wards, database):
    await wards.new(database, A, "East")
    with pytest.raises(errors.UniqueViolation) as refused:
        async with database.transaction(A) as tx:
            await wards.add.run(tx, wards.NewWard(A, uuid4(), "West"))
            with pytest.raises(errors.UniqueViolation):
                await wards.add.run(tx, wards.NewWard(A, uuid4(), "East"))
    assert refused.value.constraint == "wards_clinic_id_name_key"
    while database.figures().active:  # noqa: ASYNC110 - the connection is given back once it is rolled back
        await asyncio.sleep(0)
    assert [w.name for w in await wards.unfiltered.all(database.reader(A), wards.Nothing())] == ["East"]


async def test_statements_of_one_transaction_may_be_asked_for_at_once(wards, database):
    async with database.transaction(A) as tx:
        await asyncio.gather(*(wards.add.run(tx, wards.NewWard(A, uuid4(), f"Ward {n}")) for n in range(5)))
    assert len(await wards.unfiltered.all(database.reader(A), wards.Nothing())) == 5


@pytest.mark.parametrize("empty", [False, True])
async def test_every_type_there_and_back(wards, database, empty):
    class Given(msgspec.Struct, frozen=True):
        t: str | None
        u: type(uuid4()) | None
        i: int | None
        f: float | None
        b: bool | None
        n: Decimal | None
        m: datetime | None
        d: date | None
        y: bytes | None
        a: list[str] | None
        j: dict[str, object] | None

    Given.__annotations__.update({"u": type(A) | None})
    values = (
        'it\'s ü \\ "quoted" :name %s $1',
        A,
        -(2**63),
        0.1,
        True,
        Decimal("12.3400"),
        datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
        date(1, 1, 1),
        b"\x00\xff\\",
        ['a"b', "c\\d", "", "NULL", "{,}"],
        {"k": [1, None, "x"]},
    )
    given = Given(*((None,) * 11 if empty else values))
    found = await Query("echo_types", Given, Types).one(database.reader(None), given)
    assert msgspec.structs.astuple(found) == msgspec.structs.astuple(given)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"name": "x" * 61}, "parameter name: longer than 60"),
        ({"name": 5}, "parameter name: is int, not str"),
        ({"name": "a\0b"}, "parameter name: holds a NUL character"),
        ({"id": "not a uuid"}, "parameter id: is str, not UUID"),
        ({"floor": 2**63}, "parameter floor: outside 64 bits"),
        ({"floor": True}, "parameter floor: is bool, not int"),
    ],
)
async def test_a_wrong_parameter_is_refused_before_sql(wards, database, params, said):
    record = Record("http")
    token = current_record.set(record)
    try:
        with pytest.raises(ParameterError) as refused:
            async with database.transaction(A) as tx:
                await wards.add.run(tx, wards.NewWard(**{"clinic_id": A, "id": A, "name": "x", **params}))
    finally:
        current_record.reset(token)
    assert str(refused.value) == f"add_ward: {said}"
    assert record.events == []


@pytest.mark.parametrize(
    ("statement", "kind", "status"),
    [
        (("add", "NewWard", (B, "y" * 41)), errors.ValueRefused, 422),
        (("add", "NewWard", (B, "x", 2**40)), errors.ValueRefused, 422),
        (("add_bed", "NewBed", (B, B, "secret")), errors.ForeignKeyViolation, 409),
    ],
)
async def test_refusals_become_problems_that_quote_no_value(wards, database, statement, kind, status):
    run, struct, values = statement
    with pytest.raises(kind) as refused:
        async with database.transaction(A) as tx:
            await getattr(wards, run).run(tx, getattr(wards, struct)(A, *values))
    assert refused.value.status == status
    shown = f"{refused.value!r} {refused.value} {refused.value.detail} {refused.value.__context__!r}"
    assert not any(str(value) in shown for value in values)


async def test_another_clinics_row_is_refused(wards, database):
    with pytest.raises(errors.NotAllowed) as refused:
        async with database.transaction(A) as tx:
            await wards.add.run(tx, wards.NewWard(B, uuid4(), "secret"))
    assert refused.value.status == 403
    assert "secret" not in f"{refused.value!r} {refused.value.detail}"


async def test_the_record_names_queries_rows_and_commits(wards, database):
    record = Record("http")
    token = current_record.set(record)
    try:
        ward = await wards.new(database, A, "East")
        await wards.find.one(database.reader(A), wards.WardKey(A, ward))
    finally:
        current_record.reset(token)
    told = [(e.what, e.name, e.code, e.amount) for e in record.events if e.what is not What.POOL_WAIT]
    assert told == [
        (What.QUERY, "add_ward", "", 1),
        (What.COMMIT, "commit_transaction", "", 0),
        (What.QUERY, "find_ward", "", 1),
    ]
