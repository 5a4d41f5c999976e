"""The search against plain looking: every name of a clinic compared with every searched word, and pages with the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import floor
from uuid import UUID, uuid4

import psycopg
import pytest
from support import CLINIC

from cito.core.embedded import Urls
from cito.plugins.patients.clinics import DEMO_CLINICS
from cito.plugins.patients.people import people

SEARCHES = [
    "smith",
    "mar",
    "wil",
    "li",
    "maria",
    "obrien",
    "arin",
    "jo sm",
    "mar gar",
    "car mar",
    "james smith",
    "smith james",
    "jmaes smiht",
    "bob will",
    "ann and",
    "maria lopez garcia",
    "jon a smi",
]
MORE = [
    ("James", "", "Smith"),
    ("Smith", "", "James"),
    ("Jon", "Albert", "Smithers"),
    ("Joan", "", "Smart"),
    ("Maria", "", "López García"),
    ("Sean", "", "O'Brien"),
]


@pytest.fixture(scope="module")
def crowd(domain: Urls) -> Iterator[psycopg.Connection]:
    """A clinic of 400 people and some more, as someone who may look everywhere."""
    names = [(p.given_name, p.middle_name, p.family_name) for p in people(0, 400, DEMO_CLINICS[0])]
    with psycopg.connect(domain.admin) as superuser:
        with superuser.cursor() as cursor:
            cursor.executemany(
                "insert into patient (clinic_id, id, mrn, given_name, middle_name, family_name, date_of_birth)"
                " values (%s, %s, %s, %s, %s, %s, %s)",
                [(CLINIC, uuid4(), f"O-{n}", *name, "1990-01-01") for n, name in enumerate((*names, *MORE))],
            )
        superuser.execute("select set_config('cito.clinic_id', %s, true)", (str(CLINIC),))
        yield superuser
        superuser.rollback()


def by_looking(crowd: psycopg.Connection, searched: list[str]) -> dict[UUID, int]:
    """Return the tier of everybody who has all words, in names as the policy compares them."""
    tiers: dict[UUID, int] = {}
    near: dict[tuple[UUID, int], float] = defaultdict(lambda: 99)
    for i, word in enumerate(searched):
        rows = crowd.execute(
            "select p.id, w.joined, coalesce(name_distance(%(word)s, name_swaps(%(word)s), name_sound(%(word)s), w.word),"
            " (select 8.2 from nickname as n where n.name = %(word)s and n.other = w.word))"
            " from patient as p, name_words(p.given_name, p.middle_name, p.family_name) as w"
            " where p.clinic_id = %(clinic)s",
            {"word": word, "clinic": CLINIC},
        )
        for id_, joined, distance in rows:
            short = len(word) < 3 and len(searched) > 1  # matches words as they stand in the name only
            if distance is not None and not (short and joined):
                near[id_, i] = min(near[id_, i], distance)
    for id_, given, middle, family in crowd.execute(
        "select id, name_fold(given_name), name_fold(middle_name), name_fold(family_name) from patient"
        " where clinic_id = %s",
        (CLINIC,),
    ):
        whole, typed = [name.replace(" ", "") for name in (given, middle, family)], "".join(searched)
        if typed in (whole[0] + whole[2], "".join(whole)):
            tiers[id_] = 2
        elif typed == whole[2] + whole[0]:
            tiers[id_] = 3
        elif max(near[id_, i] for i in range(len(searched))) < 9:
            tiers[id_] = floor(max(near[id_, i] for i in range(len(searched))))
    return tiers


@pytest.mark.parametrize("search", SEARCHES)
def test_the_search_finds_what_looking_finds(crowd: psycopg.Connection, search: str) -> None:
    found = crowd.execute(
        "select id, tier from find_patients(%s, %s, null, 0, 'active', 1001)", (CLINIC, search.split())
    ).fetchall()
    expected = by_looking(crowd, search.split())
    assert expected
    assert dict(found) == expected
    assert [tier for _, tier in found] == sorted(expected.values())


@pytest.mark.parametrize("search", [*SEARCHES, "dr smith", "nobody smith jones"])
def test_a_page_is_a_part_of_the_whole(crowd: psycopg.Connection, search: str) -> None:
    words = search.split()
    whole = crowd.execute(
        "select id, tier, score from find_patients(%s, %s, null, 0, 'active', 1001) order by place",
        (CLINIC, words),
    ).fetchall()
    assert whole
    for skip, take in ((0, 1), (0, 20), (3, 7), (len(whole) - 1, 20), (len(whole), 20)):
        page = crowd.execute(
            "select id, tier, score, total from find_patient_page(%s, %s, null, 0, 'active', 1001, %s, %s) order by place",
            (CLINIC, words, skip, take),
        ).fetchall()
        assert [row[:3] for row in page if row[0]] == whole[skip : skip + take]
        assert {row[3] for row in page} == {len(whole)}
