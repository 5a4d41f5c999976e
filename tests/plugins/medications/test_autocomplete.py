from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import Site

from cito.core.ids import new_id

PATH = "/api/medications/autocomplete"


async def suggest(site: Site, typed: str, **params: Any) -> list[str]:
    answer = await site.client.get(PATH, params={"query": typed, **params}, headers=site.headers())
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["suggestions"]]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("as", ["Ascorbic Acid 500mg", "Ascorbic Acid 1000mg", "Asmanex HFA 50mcg"]),
        (
            "asp",
            ["Aspirin 81mg", "Aspirin 325mg", "Aspirin EC 81mg", "Aspirin EC 325mg", "Bayer Aspirin 325mg"],
        ),
        ("ASP", ["Aspirin 81mg"]),
        (" asp ", ["Aspirin 81mg"]),
        ("aspirin 8", ["Aspirin 81mg"]),
        ("aspirin 81 mg", ["Aspirin 81mg"]),
        ("lisino", ["Lisinopril 2.5mg", "Lisinopril 5mg", "Lisinopril 10mg", "Lisinopril 20mg"]),
        ("codeine", ["Acetaminophen and Codeine 300mg/30mg", "Acetaminophen and Codeine 300mg/60mg"]),
        ("semaglu", ["Ozempic 2mg/3 mL"]),
        ("tylenol ext", ["Tylenol Extra Strength 500mg"]),
        ("extra str", ["Tylenol Extra Strength 500mg"]),
        ("x", None),
    ],
)
async def test_names_then_words_then_generic_names(
    formulary: Site, typed: str, first: list[str] | None
) -> None:
    if first is None:
        refused = await formulary.client.get(PATH, params={"query": typed}, headers=formulary.headers())
        assert refused.status_code == 422
        assert refused.json()["errors"][0] | {"message": ""} == {
            "field": "query",
            "rule": "min_length",
            "message": "",
        }
        return
    assert (await suggest(formulary, typed))[: len(first)] == first


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("amoxicilin", "Amoxicillin"),
        ("ibuprofin", "Ibuprofen"),
        ("tylonol", "Tylenol"),
        ("metformine", "Metformin"),
        ("lisinoprill", "Lisinopril"),
        ("omeprazol e", "Omeprazole"),
        ("ventolyn", "Ventolin"),
        ("metfromin", "Metformin"),
        ("amoxacil", "Amoxicillin"),
        ("sertralin 50", "Sertraline 50mg"),
        ("semaglutyde", "Ozempic"),
        ("hydrochlorthiazide", "Hydrochlorothiazide"),
    ],
)
async def test_misspelt_names_get_similar_ones(formulary: Site, misspelt: str, meant: str) -> None:
    assert (await suggest(formulary, misspelt))[0].startswith(meant)


@pytest.mark.parametrize(
    "typed", ["%%", "__", "a%", "a_", "%a", "_a", "as%", "a\\%", "\\\\", "''", "((", ":*", "zzqq", "...."]
)
async def test_signs_are_characters_like_any_other(formulary: Site, typed: str) -> None:
    assert await suggest(formulary, typed) == []


async def test_signs_in_a_name_are_found(empty_formulary: Site) -> None:
    for name in ("50% Solution", "A_B Cream", "AxB Cream", "500 Solution"):
        body = {"name": name, "genericName": "test", "dosageForm": "test"}
        await empty_formulary.client.post("/api/medications", json=body, headers=empty_formulary.headers())
    assert await suggest(empty_formulary, "50%") == ["50% Solution"]
    assert await suggest(empty_formulary, "a_b") == ["A_B Cream"]
    assert await suggest(empty_formulary, "a_") == ["A_B Cream"]


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({}, "required"),
        ({"query": ""}, "min_length"),
        ({"query": " a "}, "min_length"),
        ({"query": "a" * 101}, "max_length"),
        ({"query": "a\tb"}, "pattern"),
        ({"query": "asp", "limit": 0}, "minimum"),
        ({"query": "asp", "limit": 101}, "maximum"),
        ({"query": "asp", "page": 1}, "unknown"),
    ],
)
async def test_wrong_parameters_are_refused(formulary: Site, params: dict[str, Any], rule: str) -> None:
    refused = await formulary.client.get(PATH, params=params, headers=formulary.headers())
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (422, rule)


async def test_the_limit_is_kept_and_ten_by_default(formulary: Site) -> None:
    assert len(await suggest(formulary, "me")) == 10
    assert len(await suggest(formulary, "me", limit=3)) == 3
    assert (await suggest(formulary, "me", limit=100))[:10] == await suggest(formulary, "me")


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.full)])
async def test_a_known_name_is_found_by_each_of_its_beginnings(
    empty_formulary: Site, shared: Path, every: int
) -> None:
    """Names that begin with what was typed come before all others, and none is forgotten."""
    names = (shared / "data" / "drugs" / "medication_names_2185.txt").read_text().split("\n")
    names = [name.strip() for name in names if name.strip()]
    with psycopg.connect(empty_formulary.urls.owner, autocommit=True) as owner:
        into = "insert into medications (id, name, generic_name, dosage_form) values (%s, %s, 'unknown', 'unknown')"
        owner.cursor().executemany(into, [(new_id(), name) for name in names])
    for name in names[::every]:
        for letters in sorted({2, 3, 5, len(name)}):
            typed = name[:letters]
            if len(typed.strip()) < 2 or not typed[-1].isalnum():
                continue
            suggested = await suggest(empty_formulary, typed, limit=100)
            fits = [one.replace("-", " ").startswith(typed.replace("-", " ").strip()) for one in suggested]
            beginning = {one for one in names if one.startswith(typed)}
            assert fits == sorted(fits, reverse=True), typed
            assert name in suggested or len(beginning) > 100, typed
