"""The straightforward twin is the oracle: the same answers, for the demo data and for generated data."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import OpenSite, Site

from cito.core.database.pool import Database
from cito.core.ids import new_id
from cito.plugins.medications import cache, naive
from cito.plugins.medications.ndc import normalise_ndc


@pytest.fixture(scope="module")
async def database(formulary: Site) -> AsyncIterator[Database]:
    async for opened in _open(formulary):
        yield opened


async def _open(site: Site) -> AsyncIterator[Database]:
    queries = {name: owned.value for name, owned in site.assembly.sources.queries.items()}
    opened = await Database.open(site.assembly.settings.database, site.urls.app, queries)
    yield opened
    await opened.close()


WORDS = st.sampled_from(
    [
        "aspirin",
        "asp",
        "a",
        "EC",
        "81",
        "81mg",
        "81-mg",
        ".5",
        "0.5mg",
        "1%",
        "1",
        "mg",
        "mcg",
        "µg",
        "ml",
        "units",
        "tablet",
        "tablets",
        "500/125",
        "insulin",
        "lis",
        "Xanax",
        "acetaminophen",
        "codeine",
        "%",
        "_",
        "-",
        "é",
        "Léxapro",
        "children's",
        "Pfizer",
        "5.0",
        "1,000",
        "metformin",
        "er",
        "xr",
        "0777-3105",
        "0.10",
        "325",
    ]
)
TYPED = st.lists(WORDS, min_size=1, max_size=4).map(" ".join) | st.text(
    st.sampled_from("aspirnétol 0158.,%_-/mgcl'"), min_size=1, max_size=12
)


@given(typed=TYPED, page=st.integers(1, 3), limit=st.sampled_from([1, 5, 100]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_twin_finds_the_same_in_the_demo_data(
    database: Database, typed: str, page: int, limit: int
) -> None:
    on, search = database.reader(None), " ".join(typed.casefold().split())
    expected = await naive.find_page(on, search, page, limit)
    assert await cache.FORMULARY.load(on, cache.PageKey(search, page, limit)) == expected
    suggested = await naive.suggest(on, search, limit)
    if suggested.suggestions:
        assert await cache.SUGGESTIONS.load(on, cache.TypedKey(search, limit)) == suggested


async def test_the_twin_lists_the_same(database: Database) -> None:
    on = database.reader(None)
    for page in (1, 2, 30):
        assert await cache.FORMULARY.load(on, cache.PageKey("", page, 60)) == await naive.find_page(
            on, "", page, 60
        )


NAME = (
    st.text(st.sampled_from("aAbxé 0158.,%_-/mgclI'ß"), min_size=1, max_size=14).map(str.strip).filter(bool)
)
MEDICINE = st.tuples(NAME, NAME, NAME, st.none() | NAME, st.none() | NAME, st.none() | st.integers(1, 99_999))


@given(
    medicines=st.lists(MEDICINE, min_size=1, max_size=12, unique_by=lambda row: row[5] or id(row)), typed=NAME
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_twin_finds_the_same_in_any_data(
    clean: tuple[Site, Database], medicines: list[tuple[str | int | None, ...]], typed: str
) -> None:
    site, database = clean
    rows = [(new_id(), *texts, normalise_ndc(f"{code:011}") if code else None) for *texts, code in medicines]
    with psycopg.connect(site.urls.owner, autocommit=True) as owner, owner.cursor() as cursor:
        cursor.execute("truncate medications")
        cursor.executemany(
            "insert into medications (id, name, generic_name, dosage_form, strength, manufacturer, ndc) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    on = database.reader(None)
    for search in {typed, str(medicines[0][0]), str(medicines[0][1])[:3]}:
        asked = " ".join(search.casefold().split())
        expected = await naive.find_page(on, asked, 1, 100)
        assert await cache.FORMULARY.load(on, cache.PageKey(asked, 1, 100)) == expected, asked


@pytest.fixture(scope="module")
async def clean(open_site: OpenSite) -> AsyncIterator[tuple[Site, Database]]:
    async with open_site(plugins=("medications",)) as site:
        async for database in _open(site):
            yield site, database
