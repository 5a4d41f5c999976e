"""The demo vocabulary: enough of it, no name of two drugs by mistake, schedules as the DEA lists them."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

from cito.plugins.drugs.cache import most_used
from cito.plugins.drugs.folding import squash
from cito.plugins.drugs.importing import merge
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.names import aliases_of
from cito.plugins.drugs.seed import demo_drugs
from cito.plugins.drugs.vocabulary import Vocabulary

# The DEA's list names substances; these are products that it schedules otherwise than the bare substance,
# or names that the list gives to something else.
OTHERWISE = {
    "aspirin": "ASA is listed as part of codeine combinations",
    "codeine/guaifenesin": "up to 200 mg codeine in 100 ml is V",
    "codeine/ibuprofen": "up to 90 mg codeine a unit in a combination is III",
    "codeine/paracetamol": "up to 90 mg codeine a unit in a combination is III",
    "codeine/promethazine": "up to 200 mg codeine in 100 ml is V",
    "dihydrocodeine/paracetamol": "up to 90 mg dihydrocodeine a unit in a combination is III",
    "dihydroergotamine": "DHE is listed as dihydroetorphine",
    "sodium oxybate": "the approved product is III, the bare substance I",
}


@pytest.fixture(scope="module")
def drugs() -> list[Drug]:
    return merge((), demo_drugs(), lambda *_: None).new


def test_there_are_enough_with_brands_and_keywords(drugs: list[Drug]) -> None:
    assert len(drugs) >= 500
    assert sum(bool(drug.brand_names) for drug in drugs) >= 500
    assert sum(bool(drug.keywords) for drug in drugs) >= 400


def test_the_drugs_of_the_cases_are_among_them(drugs: list[Drug], case_drugs: dict[str, Drug]) -> None:
    vocabulary = Vocabulary(drugs)
    for drug in case_drugs.values():
        found = vocabulary.lookup(drug.generic_name).drug
        assert found is not None, drug.generic_name
        assert (found.schedules, found.prescription_only, found.is_active, found.ingredients) == (
            drug.schedules,
            drug.prescription_only,
            drug.is_active,
            drug.ingredients,
        )


def test_a_name_belongs_to_one_drug(drugs: list[Drug]) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for drug in drugs:
        for alias in aliases_of(drug):
            owners[squash(alias.folded)].add(drug.generic_name)
    assert [name for name, owned in owners.items() if len(owned) > 1] == ["act"]  # three such combinations


def test_schedules_are_those_of_the_dea(drugs: list[Drug], shared: Path) -> None:
    listed: dict[str, set[str]] = defaultdict(set)
    with (shared / "data" / "drugs" / "dea_controlled_substances.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for text in (row["substance"], row["synonym"]):
                name = re.sub(r"\(.*", "", text).strip().lower()
                if name:
                    listed[name].add(row["schedule"])
    compared = 0
    for drug in drugs:
        names = {drug.generic_name, *drug.ingredients}
        if len(drug.ingredients) == 1:
            names |= {keyword.lower() for keyword in drug.keywords}
        own = {schedule.schedule for schedule in drug.schedules if schedule.jurisdiction == "US"}
        for name in names & listed.keys():
            compared += 1
            assert own & listed[name] or drug.generic_name in OTHERWISE, (
                drug.generic_name,
                own,
                listed[name],
            )
    assert compared > 80


def test_the_most_used_names_are_known(drugs: list[Drug]) -> None:
    vocabulary = Vocabulary(drugs)
    assert len(most_used()) == 100
    assert [
        key.folded for key in most_used() if vocabulary.lookup(key.folded).status != Status.RESOLVED
    ] == []


def test_controlled_drugs_need_a_prescription(drugs: list[Drug]) -> None:
    assert [drug.generic_name for drug in drugs if drug.schedules and not drug.prescription_only] == []
