"""The acceptance cases and their fixture drugs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import psycopg
import pytest
from support import OpenSite, Site

from cito.plugins.drugs import seed
from cito.plugins.drugs.importing import import_lines, merge
from cito.plugins.drugs.models import Drug, Schedule, class_slug
from cito.plugins.drugs.reading import Line
from cito.plugins.drugs.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def lookup_cases(shared: Path) -> dict[str, Any]:
    """The acceptance cases of lookup."""
    cases: dict[str, Any] = json.loads((shared / "cases" / "drug_lookup.json").read_text())
    return cases


@pytest.fixture(scope="session")
def case_drugs(lookup_cases: dict[str, Any]) -> dict[str, Drug]:
    """The drugs of the cases, by the cases' own ids (`D01`)."""
    return {
        row["id"]: Drug(
            id=uuid5(NAMESPACE_OID, row["id"]),
            generic_name=row["generic_name"],
            brand_names=tuple(row["brand_names"]),
            keywords=tuple(row["search_keywords"]),
            ingredients=tuple(sorted(row["ingredients"])),
            classes=tuple(sorted(class_slug(name) for name in row["classes"])),
            schedules=(Schedule("US", row["schedule"]),) if row["schedule"] else (),
            prescription_only=row["prescription_only"],
            is_active=row["is_active"],
        )
        for row in lookup_cases["drugs"]
    }


@pytest.fixture(scope="session")
def vocabulary(case_drugs: dict[str, Drug]) -> Vocabulary:
    """The drugs of the cases, in memory."""
    return Vocabulary(case_drugs.values())


@pytest.fixture(scope="session")
def demo_drugs() -> list[Drug]:
    """The drugs that come with the plugin."""
    return merge((), seed.demo_drugs(), lambda *_: None).new


@pytest.fixture(scope="session")
def demo(demo_drugs: list[Drug]) -> Vocabulary:
    """The drugs that come with the plugin, in memory."""
    return Vocabulary(demo_drugs)


@pytest.fixture(scope="session")
def case_names(case_drugs: dict[str, Drug]) -> dict[str, str]:
    """The generic names of the cases' drugs, by the cases' own ids."""
    return {case_id: drug.generic_name for case_id, drug in case_drugs.items()}


@pytest.fixture(scope="module")
async def case_site(open_site: OpenSite, case_drugs: dict[str, Drug]) -> AsyncIterator[Site]:
    """A site whose vocabulary is the drugs of the cases and no other."""
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await import_lines(connection, [as_line(drug) for drug in case_drugs.values()], lambda *_: None)
        yield site


def as_line(drug: Drug) -> Line:
    """A drug as a line of a file."""
    given = {name: getattr(drug, name) for name in Drug.__struct_fields__[2:-1]}
    return Line(0, drug.generic_name, given)
