"""Every declared index is read by the search that it is declared for, as the application role runs it."""

from __future__ import annotations

from datetime import date

import msgspec
import psycopg
import pytest
from support import CLINIC, Site

from cito.core.database.pool import Database
from cito.core.database.proofs import verify_indexes
from cito.core.database.sql import read_queries
from cito.core.settings import DatabaseSettings
from cito.plugins.patients.clinics import DEMO_CLINICS, demo_clinics
from cito.plugins.patients.criteria import Filters, interpret
from cito.plugins.patients.indexes import INDEXES
from cito.plugins.patients.people import people
from cito.plugins.patients.plugin import PatientsPlugin
from cito.plugins.patients.search import search, search_naively
from cito.plugins.patients.seed import load_clinics, load_patients

QUERIES = read_queries(PatientsPlugin.sql / "queries.sql") | {
    f"naive_{name}": msgspec.structs.replace(block, name=f"naive_{name}")
    for name, block in read_queries(PatientsPlugin.sql / "naive.sql").items()
}


@pytest.fixture(scope="module")
async def seeded(clinics: Site) -> Site:
    async with await psycopg.AsyncConnection.connect(clinics.urls.owner, autocommit=True) as owner:
        async with owner.transaction():
            await load_clinics(owner, None, lambda *_: None)
            await load_patients(owner, 4_000, lambda *_: None)
        await owner.execute("vacuum analyze")
    return clinics


@pytest.fixture
async def database(seeded: Site) -> Database:
    return await Database.open(DatabaseSettings(pool_max=1), seeded.urls.app, QUERIES)


async def test_each_declared_index_serves_its_searches(seeded: Site) -> None:
    blocks = [block for name, block in QUERIES.items() if not name.startswith("naive_")]
    proofs = await verify_indexes(seeded.urls.owner, seeded.urls.app, blocks, INDEXES, large_rows=2_000)
    verdicts = {proof.query: (proof.verdict, proof.unused, proof.scanned) for proof in proofs}
    assert not [(query, *found) for query, found in verdicts.items() if found[0] == "failed"]
    served = {query for index in INDEXES for query in index.serves}
    assert {query: verdicts[query][0] for query in served} == dict.fromkeys(served, "proven")


async def test_the_naive_twin_finds_no_more(seeded: Site, database: Database) -> None:
    """What a pattern finds, the search finds too, and in the same number where the name is whole."""
    reader = database.reader(CLINIC)
    with psycopg.connect(seeded.urls.owner) as owner:
        somebody = owner.execute(
            "select given_name || ' ' || family_name from patient where clinic_id = %s and status = 'active' limit 1",
            (CLINIC,),
        ).fetchone()
    assert somebody is not None
    for name in ("Smith", "Mary", somebody[0]):
        naive = await search_naively(reader, name, "active", 1, 100)
        ours = await search(reader, interpret(Filters(search=name), "US", None), "active", 1, 100)
        assert naive.pagination.total > 0
        assert {hit.id for hit in naive.hits[:20]} <= {
            hit.id for hit in ours.hits
        } or ours.pagination.total > 100
        assert naive.pagination.total <= ours.pagination.total
    await database.close()


async def test_people_are_the_same_each_time_and_live_in_households(seeded: Site) -> None:
    with psycopg.connect(seeded.urls.owner) as owner:
        [row] = owner.execute(
            "select count(*), count(distinct clinic_id), count(distinct (clinic_id, mrn_key)),"
            " count(distinct email_key) < count(email), min(date_of_birth), max(date_of_birth) from patient"
        ).fetchall()
        again = owner.execute("select count(*) from emergency_contact").fetchone()
    count, clinics_, numbers, shared, oldest, youngest = row
    assert (count, clinics_, numbers, shared) == (4_000, 4, 4_000, True)
    assert oldest > date(1925, 1, 1)
    assert youngest < date(2026, 1, 2)
    assert again == (2_400,)
    async with await psycopg.AsyncConnection.connect(seeded.urls.owner) as connection:
        seen: list[tuple[int, int]] = []
        await load_patients(connection, 4_000, lambda done, total: seen.append((done, total)))
    assert seen == []  # they are there


def test_more_people_than_a_clinic_can_have_get_branches() -> None:
    clinics = demo_clinics(40)
    assert clinics[:4] == list(DEMO_CLINICS)
    assert len({clinic.id for clinic in clinics}) == 40
    assert list(people(0, 50, clinics[0])) == list(people(0, 50, clinics[0]))
    assert list(people(0, 50, clinics[0])) != list(people(0, 50, clinics[1]))
