"""Lookup over HTTP, on the real database and cache, with the drugs of the cases imported."""

from __future__ import annotations

from typing import Any

import pytest
from support import Site

from cito.plugins.drugs.models import Drug, Resolution


async def test_every_case(
    subtests: pytest.Subtests, case_site: Site, lookup_cases: dict[str, Any], case_names: dict[str, str]
) -> None:
    for case in lookup_cases["lookups"]:
        with subtests.test(case["id"], q=case["q"]):
            answer = await case_site.client.get(
                "/api/drugs/lookup", params={"name": case["q"]}, headers=case_site.headers()
            )
            hold(answer.status_code, answer.json(), case["expect"], case_names)


def hold(status: int, said: dict[str, Any], expect: dict[str, Any], names: dict[str, str]) -> None:
    """Assert that an answer is what a case expects."""
    if status == 422:
        assert expect["status"] in {"invalid", "not_found_or_invalid"}
        return
    assert status == 200
    assert said["status"] == expect["status"] or expect["status"] == "not_found_or_invalid"
    if "drug" in expect:
        assert said["drug"]["genericName"] == names[expect["drug"]]
    else:
        assert said["drug"] is None
    for field, want in (("strength", "parsed_strength"), ("form", "parsed_form")):
        if want in expect:
            assert said["parsed"][field] == expect[want]
    if "matched_via" in expect:
        assert said["matchedOn"] == expect["matched_via"]
    if "suggestions_include" in expect:
        assert said["suggestions"][0]["drug"]["genericName"] == names[expect["suggestions_include"][0]]


async def test_a_batch_is_the_same_as_one_after_the_other(
    case_site: Site, lookup_cases: dict[str, Any]
) -> None:
    names = [case["q"] for case in lookup_cases["lookups"]]
    batch = await case_site.client.post(
        "/api/drugs/lookup", json={"names": names}, headers=case_site.headers()
    )
    assert batch.status_code == 200
    for name, said in zip(names, batch.json()["results"], strict=True):
        single = await case_site.client.get(
            "/api/drugs/lookup", params={"name": name}, headers=case_site.headers()
        )
        expected = {"status": "invalid"} if single.status_code == 422 else single.json()
        assert {key: said[key] for key in expected} == expected, name


async def test_batch_cases(case_site: Site, lookup_cases: dict[str, Any], case_names: dict[str, str]) -> None:
    for case in lookup_cases["batch_cases"][:3]:
        said = await case_site.client.post(
            "/api/drugs/lookup", json={"names": case["input"]}, headers=case_site.headers()
        )
        found = [answer["drug"] and answer["drug"]["genericName"] for answer in said.json()["results"]]
        assert found == [case_names.get(name) for name in case["expect"]]
    for names in (["a"] * 101, [None], "paracetamol"):
        refused = await case_site.client.post(
            "/api/drugs/lookup", json={"names": names}, headers=case_site.headers()
        )
        assert refused.status_code == 422


async def test_the_tables_answer_as_the_memory_does(
    case_site: Site, lookup_cases: dict[str, Any], vocabulary: Any, case_names: dict[str, str]
) -> None:
    names = [case["q"] for case in lookup_cases["lookups"]]
    names += [
        "Tylenol 4",
        "paracetamol codeine",
        "amoxicillin amoxicillin",
        "panadol night",
        "codiene paracetmol",
    ]
    said = await case_site.client.post(
        "/api/drugs/lookup", json={"names": names}, headers=case_site.headers()
    )
    for name, answer in zip(names, said.json()["results"], strict=True):
        assert summary(answer) == summary(vocabulary.lookup(name)), name


def summary(answer: Any) -> Any:
    """Return what two answers must share whatever the ids are."""
    if isinstance(answer, Resolution):
        return (
            answer.status.value,
            name_of(answer.drug),
            answer.matched_on,
            [(s.drug.generic_name, s.score, s.reason) for s in answer.suggestions],
            (answer.parsed.strength, answer.parsed.form, answer.parsed.route),
        )
    return (
        answer["status"],
        answer["drug"] and answer["drug"]["genericName"],
        answer["matchedOn"],
        [(s["drug"]["genericName"], s["score"], s["reason"]) for s in answer["suggestions"]],
        tuple(answer["parsed"].values()),
    )


def name_of(drug: Drug | None) -> str | None:
    return drug and drug.generic_name
