"""What stands beside a name, in canonical writing."""

from __future__ import annotations

import pytest

from cito.plugins.drugs.folding import bare, fold, slips, squash, trigrams
from cito.plugins.drugs.parsing import read


@pytest.mark.parametrize(
    ("typed", "core", "strength", "form", "route"),
    [
        ("Paracetamol 500mg", "paracetamol", "500 mg", None, None),
        ("paracetamol 120mg/5ml oral suspension", "paracetamol", "120 mg/5 mL", "oral suspension", None),
        ("Inj Morphine 10mg/ml IV", "morphine", "10 mg/mL", "injection", "intravenous"),
        ("Amoxicillin 500", "amoxicillin", "500", None, None),
        ("augmentin 500/125 tabs", "augmentin", "500/125", "tablet", None),
        ("hydrocortisone 1% cream", "hydrocortisone", "1%", "cream", None),
        ("salbutamol 100 \u00b5g/puff", "salbutamol", "100 mcg/dose", None, None),
        ("vitamin b12 1,000 mcg inj", "vitamin b12", "1000 mcg", "injection", None),
        ("levothyroxine 0,1 mg", "levothyroxine", "0.1 mg", None, None),
        ("insulin glargine 100 IU/mL", "insulin glargine", "100 IU/mL", None, None),
        ("adrenaline 1:1000 inj", "adrenaline", "1:1000", "injection", None),
        ("Syp. paracetamol: 5 ml", "paracetamol", "5 mL", "syrup", None),
        ("amoxicillin .5g", "amoxicillin", "0.5 g", None, None),
        ("digoxin .125 mg/.5 ml", "digoxin", "0.125 mg/0.5 mL", None, None),
        ("fentanyl 25mcg/hr patches", "fentanyl", "25 mcg/h", "patch", None),
        ("5-fluorouracil 5% cream", "5-fluorouracil", "5%", "cream", None),
        ("peginterferon alfa-2a", "peginterferon alfa-2a", None, None, None),
        ("aspirin 81 mg EC", "aspirin", "81 mg", None, None),
        ("500mg", "", "500 mg", None, None),
        ("oral tablet", "", None, "tablet", "oral"),
        ("Diovan HCT", "diovan hct", None, None, None),
    ],
)
def test_read(typed: str, core: str, strength: str | None, form: str | None, route: str | None) -> None:
    request = read(typed)
    assert request.core == core
    assert (request.parsed.strength, request.parsed.form, request.parsed.route) == (strength, form, route)


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("  Paracétamol ", "paracetamol"),
        ("St. John\u2019s wort", "st johns wort"),
        ("Artemether / Lumefantrine", "artemether/lumefantrine"),
        ("co\u2010codamol", "co-codamol"),
        ("A\u00a0\u2003B", "a b"),
        ("Straße (x)", "strasse x"),
        ("Panadol\u2122", "panadol"),
        ("_", ""),
    ],
)
def test_fold(typed: str, folded: str) -> None:
    assert fold(typed) == folded
    assert fold(folded) == folded


def test_hyphens_and_spaces_do_not_tell_names_apart_but_strokes_do() -> None:
    assert squash("co-codamol") == squash("co codamol") == "cocodamol"
    assert squash("codeine/paracetamol") != squash("codeine paracetamol")


def test_trigrams_are_those_of_pg_trgm() -> None:
    assert trigrams("tmp-smx") == {"  t", " tm", "tmp", "mp ", "  s", " sm", "smx", "mx "}


@pytest.mark.parametrize(
    ("folded", "expected"),
    [
        ("morphine sulfate", "morphine"),
        ("sodium valproate", "valproate"),
        ("amlodipine besylate/olmesartan", "amlodipine besylate/olmesartan"),
        ("sodium chloride", "sodium chloride"),
        ("codeine phosphate hydrochloride 3", "codeine 3"),
    ],
)
def test_salts_are_not_looked_at_for_similar_names(folded: str, expected: str) -> None:
    assert bare(folded) == expected


@pytest.mark.parametrize(
    "slip", ["metfromin", "metfrmin", "metforrmin", "metfosmin", "etformin", "metformin"]
)
def test_names_one_slip_apart_have_a_writing_in_common(slip: str) -> None:
    assert slips("metformin") & slips(slip)
    assert not slips("metformin") & slips("metoprolol")
    assert not slips("iron") | slips("x" * 41)
