"""Public misspellings against public names: the right drug first, or among five; printed with the bars."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from support import OpenSite, Site

from cito.plugins.drugs.importing import import_lines, merge
from cito.plugins.drugs.reading import Line, read_file
from cito.plugins.drugs.vocabulary import Vocabulary

FIRST, AMONG_FIVE = 0.99, 0.995


@pytest.fixture(scope="module")
def redmed(shared: Path) -> list[Line]:
    return read_file(shared / "data" / "drugs" / "redmed_drug_names.tsv")


@pytest.fixture(scope="module")
async def redmed_site(open_site: OpenSite, redmed: list[Line]) -> AsyncIterator[Site]:
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await import_lines(connection, redmed, lambda *_: None)
        yield site


def misspellings(shared: Path) -> Iterator[tuple[str, str]]:
    with (shared / "data" / "drugs" / "redmed_misspellings_half.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["misspelling"], row["drug"].replace("_", " ")


T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch


async def answers(site: Site, names: tuple[str, ...]) -> list[dict[str, Any]]:
    said = await site.client.post("/api/drugs/lookup", json={"names": names}, headers=site.headers())
    results: list[dict[str, Any]] = said.json()["results"]
    return results


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.full)])
async def test_the_right_drug_is_first(
    redmed_site: Site, shared: Path, figure: Callable[[str], None], step: int
) -> None:
    """The bars hold for the whole file; the default run looks at every eighth misspelling."""
    first = among = count = 0
    for batch in batched(islice(misspellings(shared), 0, None, step), 50):
        for (_, drug), answer in zip(
            batch, await answers(redmed_site, tuple(name for name, _ in batch)), strict=True
        ):
            found = [suggestion["drug"]["genericName"] for suggestion in answer["suggestions"]]
            found += [answer["drug"]["genericName"]] if answer["drug"] else []
            count += 1
            first += found[:1] == [drug]
            among += drug in found
    figure(
        f"RedMed, {count} misspellings: the right drug first in {first / count:.4f} (bar {FIRST}), "
        f"among five in {among / count:.4f} (bar {AMONG_FIVE})"
    )
    assert first / count >= FIRST
    assert among / count >= AMONG_FIVE


async def test_memory_and_tables_suggest_the_same(
    redmed_site: Site, redmed: list[Line], shared: Path
) -> None:
    names = tuple(name for name, _ in misspellings(shared))[::48]
    vocabulary = Vocabulary(merge((), redmed, lambda *_: None).new)
    for name, answer in zip(names, await answers(redmed_site, names), strict=True):
        expected = vocabulary.lookup(name)
        assert answer["status"] == expected.status.value
        assert [(s["drug"]["genericName"], s["score"]) for s in answer["suggestions"]] == [
            (s.drug.generic_name, s.score) for s in expected.suggestions
        ]


async def test_no_known_name_is_ever_widened(redmed_site: Site, redmed: list[Line]) -> None:
    """An exact name is answered by drugs of exactly that name, however many others are alike."""
    known = {name for line in redmed[::40] for name in (line.generic_name, *line.synonyms)}
    for batch in batched(sorted(known), 100):
        for name, answer in zip(batch, await answers(redmed_site, batch), strict=True):
            assert answer["status"] in {"resolved", "ambiguous"}, name
            drugs = [answer["drug"]] if answer["drug"] else [s["drug"] for s in answer["suggestions"]]
            for drug in drugs:
                assert same(name) in {same(own) for own in (drug["genericName"], *drug["keywords"])}, name


def same(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in plain if character.isalnum())
