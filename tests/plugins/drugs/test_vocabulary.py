"""The acceptance cases of lookup on the vocabulary in memory, and what no lookup may ever do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from cito.plugins.drugs.models import Drug, Resolution, Status
from cito.plugins.drugs.vocabulary import Vocabulary


def test_every_case(
    subtests: pytest.Subtests,
    vocabulary: Vocabulary,
    lookup_cases: dict[str, Any],
    case_drugs: dict[str, Drug],
) -> None:
    for case in lookup_cases["lookups"]:
        with subtests.test(case["id"], q=case["q"]):
            hold(vocabulary.lookup(case["q"]), case["expect"], case_drugs)


def hold(answer: Resolution, expect: dict[str, Any], drugs: dict[str, Drug]) -> None:
    """Assert that an answer is what a case expects."""
    if expect["status"] == "not_found_or_invalid":
        assert answer.status in {Status.NOT_FOUND, Status.INVALID}
    else:
        assert answer.status == expect["status"]
    assert answer.drug == (drugs[expect["drug"]] if "drug" in expect else None)
    for field, want in (("strength", "parsed_strength"), ("form", "parsed_form")):
        if want in expect:
            assert getattr(answer.parsed, field) == expect[want]
    if "matched_via" in expect:
        assert answer.matched_on == expect["matched_via"]
    suggested = [suggestion.drug for suggestion in answer.suggestions]
    if "suggestions_include" in expect:
        assert suggested[0] == drugs[expect["suggestions_include"][0]]
    forbidden = expect.get("must_not_resolve_to", ())
    assert answer.drug not in [drugs.get(name) for name in forbidden if name != "any"]


def test_batch_is_the_same_as_one_after_the_other(
    vocabulary: Vocabulary, lookup_cases: dict[str, Any], case_drugs: dict[str, Drug]
) -> None:
    texts = [case["q"] for case in lookup_cases["lookups"]]
    assert vocabulary.lookup_many(texts) == [vocabulary.lookup(text) for text in texts]
    for case in lookup_cases["batch_cases"][:3]:
        answers = vocabulary.lookup_many(case["input"])
        assert [answer.drug for answer in answers] == [case_drugs.get(name) for name in case["expect"]]


def test_an_exact_name_is_never_widened(vocabulary: Vocabulary, case_drugs: dict[str, Drug]) -> None:
    for drug in case_drugs.values():
        for name in (drug.generic_name, *drug.brand_names, *drug.keywords):
            for typed in (name, name.upper(), f" {name}  ", f"{name} 10 mg tablets"):
                answer = vocabulary.lookup(typed)
                assert answer.drug == drug
                assert answer.suggestions == ()


def test_a_number_that_names_another_product_is_a_question(
    vocabulary: Vocabulary, case_drugs: dict[str, Drug]
) -> None:
    """ "Tylenol 4" holds codeine; taking the 4 for a strength would make it plain paracetamol."""
    assert vocabulary.lookup("Tylenol 3").drug == case_drugs["D03"]
    answer = vocabulary.lookup("Tylenol 4")
    assert answer.status == Status.SUGGEST
    assert {suggestion.drug.generic_name for suggestion in answer.suggestions} == {
        "paracetamol",
        "codeine/paracetamol",
    }


@pytest.mark.parametrize(
    ("typed", "generic"),
    [
        ("acetaminophen + codeine", "codeine/paracetamol"),
        ("Amoxicillin-clavulanate 875/125 tabs", "amoxicillin/clavulanic acid"),
        ("Artemether / Lumefantrine", "artemether/lumefantrine"),
        ("TMP/SMX 160/800", "sulfamethoxazole/trimethoprim"),
        ("amox/clav", "amoxicillin/clavulanic acid"),
        ("co trimoxazole", "sulfamethoxazole/trimethoprim"),
        ("INSULIN GLARGINE 100 units/mL SoloStar", "insulin glargine"),
        ("\uff30anadol", "paracetamol"),
    ],
)
def test_other_writings_of_the_same(vocabulary: Vocabulary, typed: str, generic: str) -> None:
    answer = vocabulary.lookup(typed)
    assert answer.drug is not None
    assert answer.drug.generic_name == generic


@pytest.mark.parametrize(
    "typed", ["paracetamol and ibuprofen", "amoxicillin amoxicillin", "paracetamol extra", "panadol night"]
)
def test_a_name_with_something_unknown_beside_it_does_not_resolve(vocabulary: Vocabulary, typed: str) -> None:
    answer = vocabulary.lookup(typed)
    assert answer.status == Status.SUGGEST
    assert answer.drug is None


@pytest.mark.parametrize("typed", ["", " \t ", "a" * 201, "para\x00cetamol", "\ud800"])
def test_what_cannot_be_a_name_is_invalid(vocabulary: Vocabulary, typed: str) -> None:
    assert vocabulary.lookup(typed).status == Status.INVALID


def test_one_name_of_several_drugs() -> None:
    """Several active ones are a question; a withdrawn one beside an active one is none."""
    drugs = [
        Drug(UUID(int=number), generic, brand_names=("Same",), ingredients=(generic,), is_active=active)
        for number, (generic, active) in enumerate((("first", True), ("second", True), ("third", False)))
    ]
    answer = Vocabulary(drugs).lookup("same 5 mg")
    assert (answer.status, answer.drug, answer.matched_on) == (Status.AMBIGUOUS, None, "brand")
    assert [suggestion.drug for suggestion in answer.suggestions] == drugs[:2]
    assert Vocabulary(drugs[1:]).lookup("same").drug == drugs[1]
    assert Vocabulary(drugs[2:]).lookup("same").status == Status.INACTIVE
    many = [Drug(UUID(int=n), f"drug {n}", brand_names=("Same",), ingredients=(f"{n}",)) for n in range(7)]
    assert [suggestion.drug for suggestion in Vocabulary(many).lookup("same").suggestions] == many[:5]


@pytest.mark.parametrize(
    ("typed", "generic"),
    [("phenobarb", "phenobarbital"), ("hydroxy", "hydroxyzine"), ("Morphine citrate", "morphine")],
)
def test_a_beginning_or_another_salt_is_a_question(vocabulary: Vocabulary, typed: str, generic: str) -> None:
    answer = vocabulary.lookup(typed)
    assert answer.status == Status.SUGGEST
    assert answer.suggestions[0].drug.generic_name == generic


@pytest.mark.parametrize("typed", ["xyzzy", "drug", "lamblet", "in", "sertralon"])
def test_what_is_only_a_little_alike_is_no_suggestion(typed: str) -> None:
    """Xyzal shares its beginning with xyzzy; two of five letters differ."""
    names = ("Xyzal", "drogue", "Lamisil", "insulin", "sumatriptan")
    drugs = [Drug(UUID(int=number), name, ingredients=(name,)) for number, name in enumerate(names)]
    assert Vocabulary(drugs).lookup(typed).status == Status.NOT_FOUND
