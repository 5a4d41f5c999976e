"""The acceptance cases: patients registered and searched over HTTP, in two clinics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import CLINIC, OTHER_CLINIC, Site

FILE = Path(__file__).parents[4] / "shared" / "cases" / "patient_search.json"
CASES: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"queries": [], "patients": []}

# Of the same kinds, written for this test. (search, first, included, excluded)
MORE = [
    ("Smith, John", ["P01"], ["P06"], ["P38"]),
    ("smith john", ["P06"], ["P01"], []),
    ("José García", ["P09"], ["P10"], []),
    ("garcia lopez", ["P11"], [], []),
    ("o\u2019brien", ["P12"], ["P13"], []),
    ("Ó Briain", ["P14"], [], []),
    ("smith-jones", ["P15"], [], []),
    ("ann jones", ["P16"], ["P15"], []),
    ("anne marie", ["P17"], ["P18"], []),
    ("Thị Hoa", ["P19"], [], []),
    ("bob anderson", ["P25"], ["P24"], []),
    ("bobby anderson", [], ["P24"], []),
    ("kate mcdonald", ["P27"], [], []),
    ("al rashid", ["P34"], ["P35"], []),
    ("delacroix", ["P36"], [], []),
    ("jeanluc delacroix", ["P36"], [], []),
    ("van der berg", ["P37"], [], []),
    ("MRN 10001", [], ["P01"], ["P38"]),
    ("MRN-100", [], ["P01"], ["P38"]),
    ("john smith 03/14/1980", ["P01"], [], ["P38"]),
    ("john smith 14 March 1980", ["P01"], [], ["P38", "P05"]),
    ("john.smith@example.org", ["P01"], [], ["P38"]),
    ("JOAN.SMITH@EXAMPLE.ORG", ["P05"], [], []),
    ("4155550132", ["P01"], [], ["P38"]),
    ("5550132", ["P01"], [], ["P38"]),
    ("0132", ["P01"], [], ["P38"]),
    ("0803 123 4567", [], ["P30", "P31"], []),
    ("smith 0136", ["P05"], [], ["P01"]),
    ("+44 20 7946 0018", ["P08"], [], []),
    ("Percent_Test", ["P40"], [], []),
    ("smith percent%", ["P40"], [], []),
    # Accents, apostrophes, hyphens, particles; any order.
    ("GARCI\u0301A, JOSE\u0301", ["P09", "P10"], ["P11"], []),
    ("lopez maria", ["P11"], [], []),
    ("Mueller, Juergen", ["P22", "P21"], [], []),
    ("MÜLLER", ["P21", "P22"], [], []),
    ("thi hoa nguyen", ["P19"], [], []),
    ("o'brien sean", ["P12"], [], []),
    ("sean o brien", ["P12"], [], []),
    ("Jones Smith", ["P15"], [], []),
    ("ann smithjones", ["P15"], [], []),
    ("dubois anne", ["P17", "P18"], [], []),
    ("Croix, Jean Luc de la", ["P36"], [], []),
    ("vd berg", ["P37"], [], []),
    ("alrashid", ["P35", "P34"], [], []),
    ("mac donald", ["P26"], [], []),
    ("John_Smith", ["P01"], ["P06"], ["P38", "P39"]),
    # One or two letters: words and beginnings, no parts.
    ("al", ["P34", "P32", "P35"], [], ["P20", "P41"]),
    ("w li", ["P28", "P29"], [], []),
    ("sm jo", ["P06", "P15"], ["P01"], ["P08"]),
    ("s j", [], ["P01", "P06"], ["P08"]),
    # Typing errors and nicknames come after what was typed.
    ("wie li", ["P28", "P29"], [], []),
    ("smyth john", ["P03"], ["P01"], []),
    ("ohn smith", ["P01"], ["P06"], []),
    ("sean obrein", ["P12"], [], []),
    ("fetherstonhaugh", ["P33"], [], []),
    ("robert andersen", ["P24", "P25"], [], []),
    ("rob anderson", ["P24", "P25"], [], []),
    # A word too many: a title, a middle name that nobody wrote down.
    ("mr john smith", ["P01"], ["P06"], ["P38"]),
    ("john q smith", ["P01"], ["P06"], []),
    ("smith john jr", ["P06"], ["P01"], []),
    # Dates, phones and addresses as they are copied from elsewhere; with each other.
    ("13/07/1970", ["P36"], [], []),
    ("John Smith (14.03.1980)", ["P01", "P02"], [], ["P38"]),
    ("smith 1980-03-15", ["P01", "P02"], [], []),
    ("MRN\u201310001", ["P01"], [], ["P02", "P38"]),
    ("mrn: MRN-10001", ["P01"], [], ["P38"]),
    ("MRN-10001 garcia", [], [], ["P01", "P09"]),
    ("415-555-0132x12", ["P01"], [], ["P38"]),
    ("415\u2013555\u20130132 ext. 12", ["P01"], [], ["P38"]),
    ("mailto:JOHN.SMITH@example.org", ["P01"], [], ["P38"]),
    ("n.okafor@example.ng 2012-10-01", ["P31"], [], ["P30"]),
    ("0132 john 1980-03-14 john.smith@example.org", ["P01"], [], ["P38"]),
    ("100", ["P40"], [], []),
]


@pytest.fixture(scope="module")
async def ids(clinics: Site) -> dict[str, str]:
    """The case patients, registered over HTTP: name in the cases -> id."""
    found = {}
    for patient in CASES["patients"]:
        body = {
            "mrn": patient["mrn"],
            "firstName": patient["given"],
            "middleName": patient["middle"],
            "lastName": patient["family"],
            "dateOfBirth": patient["date_of_birth"],
            "status": patient["status"],
            "contact": {"phone": patient["phone"], "email": patient["email"]},
        }
        clinic = CLINIC if patient["clinic_id"] == "A" else OTHER_CLINIC
        answer = await clinics.client.post("/api/patients", json=body, headers=clinics.headers(clinic=clinic))
        assert answer.status_code == 201, answer.text
        found[patient["id"]] = answer.json()["id"]
    return found


async def search(site: Site, ids: dict[str, str], **params: str) -> list[str]:
    answer = await site.client.get("/api/patients", params=params, headers=site.headers())
    assert answer.status_code == 200, answer.text
    names = {id_: name for name, id_ in ids.items()}
    return [names[patient["id"]] for patient in answer.json()["patients"]]


@pytest.mark.skipif(not CASES["queries"], reason="the public data folder ../shared is absent")
@pytest.mark.parametrize("case", CASES["queries"], ids=lambda case: case["id"])
async def test_acceptance_case(clinics: Site, ids: dict[str, str], case: dict[str, Any]) -> None:
    params = {"search": case["q"]} | {k: v for k, v in case.get("params", {}).items() if k == "status"}
    expect = case["expect"]
    status = 422 if case["tag"] == "ambiguous dob" else case.get("expect_status", 200)
    if status != 200:
        answer = await clinics.client.get("/api/patients", params=params, headers=clinics.headers())
        assert answer.status_code == status
        return
    found = await search(clinics, ids, **params)
    assert found[: len(expect.get("first", []))] == expect.get("first", [])
    assert set(expect.get("must_include", [])) <= set(found)
    assert not set(expect.get("must_exclude", [])) & set(found)
    if "top_exact_order" in expect:
        assert found == expect["top_exact_order"]


@pytest.mark.skipif(not CASES["queries"], reason="the public data folder ../shared is absent")
@pytest.mark.parametrize(("text", "first", "included", "excluded"), MORE, ids=[case[0] for case in MORE])
async def test_more_of_the_kind(
    *,
    clinics: Site,
    ids: dict[str, str],
    text: str,
    first: list[str],
    included: list[str],
    excluded: list[str],
) -> None:
    found = await search(clinics, ids, search=text)
    assert found[: len(first)] == first
    assert set(included) <= set(found)
    assert not set(excluded) & set(found)


@pytest.mark.skipif(not CASES["queries"], reason="the public data folder ../shared is absent")
async def test_each_answer_says_why_and_tiers_are_in_order(clinics: Site, ids: dict[str, str]) -> None:
    answer = await clinics.client.get(
        "/api/patients", params={"search": "john smith", "status": "any"}, headers=clinics.headers()
    )
    tiers = ["identifier", "exact", "transposed", "tokens", "prefix", "substring", "fuzzy", "nickname"]
    matches = [patient["match"] for patient in answer.json()["patients"]]
    assert [m["tier"] for m in matches] == sorted((m["tier"] for m in matches), key=tiers.index)
    assert {m["tier"] for m in matches} >= {"exact", "transposed", "prefix", "fuzzy"}
    assert all(m["on"] == ["name"] and 0 < m["score"] <= 1 for m in matches)


@pytest.mark.skipif(not CASES["queries"], reason="the public data folder ../shared is absent")
@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"phone": "415-555-0132"}, ["P01"]),
        ({"phone": "0135"}, ["P04"]),
        ({"email": "N.Okafor@example.ng"}, ["P30", "P31"]),
        ({"dateOfBirth": "1990-02-11"}, ["P41"]),
        ({"patientId": "MRN-1007"}, ["P08"]),
        ({"search": "smith", "dateOfBirth": "1980-03-14"}, ["P01", "P02"]),
        ({"search": "garcia", "email": "n.okafor@example.ng"}, []),
    ],
)
async def test_filters(clinics: Site, ids: dict[str, str], params: dict[str, str], found: list[str]) -> None:
    assert sorted(await search(clinics, ids, **params)) == found
