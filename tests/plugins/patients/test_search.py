"""What the cases do not say: paging, the cap, writes that go past the API, and indexes against plain looking."""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import CLINIC, OTHER_CLINIC, Site

from cito.core.database.migrations import migrate, roll_back
from cito.core.embedded import Urls
from cito.plugins.patients.clinics import DEMO_CLINICS
from cito.plugins.patients.people import people

SQL = files("cito.sql")
ADD = """
    insert into patient (clinic_id, id, mrn, given_name, middle_name, family_name, date_of_birth)
    values (%s, %s, %s, %s, %s, %s, '1990-01-01')
"""


def add(
    connection: psycopg.Connection, given: str, family: str, middle: str = "", clinic: UUID = CLINIC
) -> UUID:
    id_ = uuid4()
    connection.execute(ADD, (clinic, id_, f"X-{id_.hex}", given, middle, family))
    return id_


def found(connection: psycopg.Connection, words: str, clinic: UUID = CLINIC) -> list[tuple[UUID, int]]:
    with connection.transaction():
        connection.execute("select set_config('cito.clinic_id', %s, true)", (str(clinic),))
        return connection.execute(
            "select id, tier from find_patients(%s, %s, null::patient_criteria, 0, 'active', 1001) order by place",
            (clinic, words.split()),
        ).fetchall()


@pytest.fixture(scope="module")
async def smiths(clinics: Site) -> Site:
    with psycopg.connect(clinics.urls.owner, autocommit=True) as owner:
        for i in range(200):
            add(owner, ("Ann", "Bob", "Cleo")[i % 3], "Smith")
    return clinics


async def page(site: Site, **params: Any) -> Any:
    answer = await site.client.get("/api/patients", params=params, headers=site.headers())
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_pages_do_not_overlap_and_keep_the_order(smiths: Site) -> None:
    fifties = [
        patient["id"]
        for number in (1, 2, 3, 4)
        for patient in (await page(smiths, search="smith", page=number, limit=50))["patients"]
    ]
    hundreds = [
        patient["id"]
        for number in (1, 2)
        for patient in (await page(smiths, search="smith", page=number, limit=100))["patients"]
    ]
    assert len(set(fifties)) == 200
    assert fifties == hundreds
    last = await page(smiths, search="smith", page=5, limit=50)
    assert last["patients"] == []
    assert last["pagination"] == {"page": 5, "limit": 50, "total": 200, "totalIsCapped": False, "pages": 4}


@pytest.mark.parametrize(
    "params", [{"page": "0"}, {"page": "abc"}, {"limit": "100000"}, {"limit": "0"}, {"q": "x"}]
)
async def test_bad_pages_are_refused(smiths: Site, params: dict[str, str]) -> None:
    answer = await smiths.client.get(
        "/api/patients", params={"search": "smith"} | params, headers=smiths.headers()
    )
    assert answer.status_code == 422


async def test_the_thousandth_is_the_last(clinics: Site) -> None:
    with psycopg.connect(clinics.urls.owner, autocommit=True) as owner:
        owner.execute(
            "insert into patient (clinic_id, id, mrn, given_name, family_name)"
            " select %s, gen_random_uuid(), 'C-' || n, 'Crowd', 'Member' || mod(n, 40) from generate_series(1, 1100) as n",
            (OTHER_CLINIC,),
        )
    headers = clinics.headers(clinic=OTHER_CLINIC)
    for search in ("crowd", "crowd member"):
        answer = await clinics.client.get(
            "/api/patients", params={"search": search, "page": 10, "limit": 100}, headers=headers
        )
        assert answer.json()["pagination"] == {
            "page": 10,
            "limit": 100,
            "total": 1000,
            "totalIsCapped": True,
            "pages": 10,
        }
        assert len(answer.json()["patients"]) == 100
        beyond = await clinics.client.get(
            "/api/patients", params={"search": search, "page": 11, "limit": 100}, headers=headers
        )
        assert beyond.json()["patients"] == []


async def test_a_short_number_is_a_record_number_or_a_word_of_a_name(smiths: Site) -> None:
    with psycopg.connect(smiths.urls.owner, autocommit=True) as owner:
        named = add(owner, "Agent", "77")
        numbered = add(owner, "Nadia", "Numbered")
        owner.execute("update patient set mrn = '77' where id = %s", (numbered,))
        listed = (await page(smiths, search="77"))["patients"]
        owner.execute("delete from patient where id = any(%s)", ([named, numbered],))
    assert [(p["id"], p["match"]["tier"], p["match"]["on"]) for p in listed] == [
        (str(numbered), "identifier", ["mrn"]),
        (str(named), "tokens", ["name"]),
    ]


async def test_nothing_asked_lists_everybody_by_name(smiths: Site) -> None:
    listed = await page(smiths, limit=100)
    assert listed["pagination"]["total"] == 200
    assert [p["firstName"] for p in listed["patients"][:67]] == ["Ann"] * 67
    assert listed["patients"][0]["match"] is None


def test_writes_past_the_api_are_found(owner: psycopg.Connection) -> None:
    id_ = add(owner, "Quirin", "Zappelfeld")
    assert found(owner, "quirin zappelfeld") == [(id_, 2)]
    owner.execute("update patient set family_name = 'Zitterberg' where id = %s", (id_,))
    assert found(owner, "zappelfeld") == []
    assert found(owner, "zitterberg") == [(id_, 4)]
    owner.execute("update patient set address = 'elsewhere' where id = %s", (id_,))
    assert found(owner, "zitterberg") == [(id_, 4)]
    owner.execute("update patient set status = 'inactive' where id = %s", (id_,))
    assert found(owner, "zitterberg") == []
    owner.execute("update patient set status = 'active', deleted_at = now() where id = %s", (id_,))
    assert found(owner, "zitterberg") == []
    owner.execute("update patient set deleted_at = null where id = %s", (id_,))
    assert found(owner, "zitterberg") == [(id_, 4)]
    owner.execute("delete from patient where id = %s", (id_,))
    assert found(owner, "zitterberg") == []


def test_counting_ends_where_patients_bear_several_of_the_words(superuser: psycopg.Connection) -> None:
    with superuser.transaction(force_rollback=True):
        for family in ("Quillan", "Quiller", "Quilter"):
            add(superuser, "Quilla", family, "Quillen Quillon")
        superuser.execute("set local statement_timeout = '20s'")
        counted = superuser.execute(
            "select tier, total from find_patients_by_word(%s, 'quil', 'active', 4, 4)", (CLINIC,)
        ).fetchall()
    assert counted == [(5, 3)] * 3


def test_each_searched_word_wants_a_word_of_its_own(owner: psycopg.Connection) -> None:
    """ "Fiona Fi" begins to write Fiona Fitzroy: who is called Fiona only comes later, in the order of names."""
    with owner.transaction(force_rollback=True):
        adams, smith = add(owner, "Fiona", "Adams"), add(owner, "Fiona", "Smith")
        fitzroy = add(owner, "Fiona", "Fitzroy")
        assert found(owner, "fiona fit")[0] == (fitzroy, 5)
        assert found(owner, "fiona fio") == [(adams, 5), (fitzroy, 5), (smith, 5)]
        assert found(owner, "fiona fi") == [(fitzroy, 5), (adams, 5), (smith, 5)]


@pytest.mark.parametrize(
    ("digits", "endings"),
    [("0132", {"0132"}), ("9132", {"9132"}), ("0007", set()), ("05559132", {"9132"}), ("5550132", {"0132"})],
)
def test_the_last_digits_are_all_that_were_typed(
    owner: psycopg.Connection, digits: str, endings: set[str]
) -> None:
    """A zero among them counts; before a whole number it is dialled, and not part of it."""
    with owner.transaction(force_rollback=True):
        for ending in ("0132", "9132"):
            id_ = add(owner, "Phone", "Bearer")
            owner.execute("update patient set phone_e164 = %s where id = %s", (f"+1415555{ending}", id_))
        owner.execute("select set_config('cito.clinic_id', %s, true)", (str(CLINIC),))
        rows = owner.execute(
            "select right(p.phone_e164, 4) from find_patients(%s, '{}', row(null, null, null, null, %s, null,"
            " null::date, null::date)::patient_criteria, 1, 'active', 1001) as f join patient as p using (id)",
            (CLINIC, digits),
        ).fetchall()
    assert {ending for (ending,) in rows} == endings


def test_another_clinic_finds_nothing_even_with_this_clinics_id(owner: psycopg.Connection) -> None:
    id_ = add(owner, "Wendelin", "Xanthopoulos")
    assert found(owner, "wendelin xanthopoulos") == [(id_, 2)]
    assert found(owner, "wendelin xanthopoulos", OTHER_CLINIC) == []
    with owner.transaction():
        owner.execute("select set_config('cito.clinic_id', %s, true)", (str(OTHER_CLINIC),))
        asked = owner.execute(
            "select id from find_patients(%s, array['wendelin'], null::patient_criteria, 0, 'any', 1001)",
            (CLINIC,),
        )
        assert asked.fetchall() == []


def test_the_word_tables_are_what_the_names_say(
    owner: psycopg.Connection, superuser: psycopg.Connection
) -> None:
    ids = [add(owner, p.given_name, p.family_name, p.middle_name) for p in people(0, 300, DEMO_CLINICS[0])]
    owner.execute(
        "update patient set family_name = family_name || ' Miller' where id = any(%s)", (ids[:100],)
    )
    owner.execute("update patient set deleted_at = now() where id = any(%s)", (ids[50:70],))
    stored = """
        select p.id, w.word, w.joined from patient as p, name_words(given_name, middle_name, family_name) as w
        where p.deleted_at is null and p.merged_into is null
        except all
        select patient_id, word, joined from patient_name_word
    """
    assert superuser.execute(stored).fetchall() == []
    counts = """
        select (select count(*) from patient_name_word) = (
            select count(*) from patient as p, name_words(given_name, middle_name, family_name)
            where deleted_at is null
        ), (select sum(patients) from patient_count) = (select count(*) from patient where deleted_at is null),
        not exists (
            select from patient_name_word as w
            where not exists (select from name_vocabulary as v where (v.clinic_id, v.word) = (w.clinic_id, w.word))
        )
    """
    assert superuser.execute(counts).fetchall() == [(True, True, True)]


WORDS = [
    "smith",
    "smyth",
    "smithers",
    "johnson",
    "jonson",
    "catherine",
    "kathryn",
    "mueller",
    "featherstonehaugh",
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WORDS), st.data())
def test_indexes_find_what_looking_at_every_word_finds(
    owner: psycopg.Connection, superuser: psycopg.Connection, word: str, data: st.DataObject
) -> None:
    """Also with up to two typing errors, where trigrams fail."""
    if not superuser.execute("select from name_vocabulary where word = 'featherstonehaugh'").fetchone():
        for name in WORDS:
            add(owner, name, "Vocabulary")
    searched = word
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(searched) - 2))
        letter = data.draw(st.sampled_from("aehkt"))
        searched = data.draw(
            st.sampled_from(
                [
                    searched[:at] + searched[at + 1] + searched[at] + searched[at + 2 :],
                    searched[:at] + searched[at + 1 :],
                    searched[:at] + letter + searched[at:],
                    searched[:at] + letter + searched[at + 1 :],
                ]
            )
        )
    by_index = "select word, distance from similar_name_words(%(clinic)s, %(word)s, 4, 7)"
    by_looking = """
        select v.word, name_distance(%(word)s, name_swaps(%(word)s), name_sound(%(word)s), v.word) as distance
        from name_vocabulary as v where v.clinic_id = %(clinic)s and v.word <> %(word)s
    """
    params = {"clinic": CLINIC, "word": searched}
    here = {w: round(d, 4) for w, d in superuser.execute(by_index, params)}
    there = {w: round(d, 4) for w, d in superuser.execute(by_looking, params) if d is not None}
    assert here == there


def test_empty_tables_after_truncate(superuser: psycopg.Connection) -> None:
    superuser.execute("truncate patient cascade")
    left = "select (select count(*) from patient_name) + (select count(*) from patient_name_word)"
    assert superuser.execute(left).fetchone() == (0,)


async def test_the_migrations_can_be_undone_and_done_again(empty_database: Urls) -> None:
    sources = [("core", SQL / "core"), ("patients", SQL / "patients")]
    done = await migrate(empty_database.owner, sources)
    await roll_back(empty_database.owner, sources, "patients", drop_data=True)
    assert await migrate(empty_database.owner, sources) == [
        id_ for id_ in done if id_.startswith("patients_")
    ]
