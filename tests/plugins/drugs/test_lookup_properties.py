"""Whatever is typed: a batch answers as single lookups do, the tables as the memory does, and nothing is guessed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from support import OpenSite, Site

from cito.core.app import opened
from cito.core.clock import Clock
from cito.core.context import Context
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.finding import find_resolutions
from cito.plugins.drugs.folding import squash
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.names import aliases_of, ingredient_keys
from cito.plugins.drugs.seed import load_drugs
from cito.plugins.drugs.vocabulary import Vocabulary

BESIDE = (
    *(
        "500mg",
        "10 mg/5 mL",
        "tablets",
        "inj",
        "oral suspension",
        "XR",
        "and",
        "with",
        "/",
        "+",
        "-",
        "500",
        "4",
    ),
    *("extra", "PM", "forte", "", "  ", "\u00a0", "%", "_", "'", "\u00e9", "\u0142", "(", "IV", "x2", "1%"),
)


@pytest.fixture(scope="module")
async def demo(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site with the demo vocabulary."""
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await load_drugs(connection, None, lambda *_: None)
        yield site


@pytest.fixture(scope="module")
async def process(demo: Site) -> AsyncIterator[Context]:
    """A process of the site."""
    async with opened(demo.assembly, demo.urls, Clock()) as context:
        yield context


@pytest.fixture(scope="module")
async def drugs(process: Context, demo: Site) -> list[Drug]:
    async with await psycopg.AsyncConnection.connect(demo.urls.owner) as owner:
        ids = [row[0] for row in await (await owner.execute("select id from drugs")).fetchall()]
    found = await q.find_drugs.all(process.database.reader(None), q.ByIds(ids))
    return sorted(found, key=lambda drug: drug.id)


def typed(chance: random.Random, drugs: Sequence[Drug]) -> str:
    """A name, or names, with whatever people type beside them, and sometimes a slip."""
    pieces: list[str] = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        drug = chance.choice(drugs)
        pieces.append(chance.choice(aliases_of(drug)).name)
        if chance.random() < 0.2:
            pieces += drug.ingredients
        pieces += chance.choices(BESIDE, k=chance.choice((0, 0, 1, 2)))
    if chance.random() < 0.3:
        chance.shuffle(pieces)
    text = chance.choice((" ", " ", "/", " + ")).join(pieces)
    if chance.random() < 0.4 and len(text) > 4:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(("", "e", "a", text[at] * 2)) + text[at + 1 :]
    return chance.choice((text, text.upper(), text.title()))[:200]


@pytest.mark.parametrize(
    "count", [600, pytest.param(20_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
async def test_batch_single_and_memory_agree(process: Context, drugs: list[Drug], count: int) -> None:
    chance, vocabulary = random.Random(count), Vocabulary(drugs)
    reader = process.database.reader(None)
    left, seen = count, dict.fromkeys(Status, 0)
    while left > 0:
        texts = [typed(chance, drugs) for _ in range(chance.choice((1, 2, 20, 100)))]
        left -= len(texts)
        batch = await find_resolutions(reader, texts)
        for text, answer in zip(texts, batch, strict=True):
            seen[answer.status] += 1
            assert answer == vocabulary.lookup(text), text
            held(text, answer.drug, answer.matched_on)
        for text, answer in list(zip(texts, batch, strict=True))[:3]:
            assert [answer] == await find_resolutions(reader, [text]), text
    assert min(seen[status] for status in (Status.RESOLVED, Status.SUGGEST, Status.INACTIVE)) > 0


def held(text: str, drug: Drug | None, matched_on: str | None) -> None:
    """A drug that was resolved is named in the text, letter by letter."""
    if drug is None:
        return
    letters = squash("".join(c for c in text.casefold() if c.isalnum()))
    if matched_on == "ingredients":
        return  # named by synonyms, in any order: see the next test
    names = {"".join(c for c in squash(alias.folded) if c.isalnum()) for alias in aliases_of(drug)}
    plain = letters.translate({0xE9: "e", 0x142: "l"})
    assert any(name in plain for name in names), (text, drug.generic_name)


async def test_one_core_is_asked_for_in_two_ways(process: Context, drugs: list[Drug]) -> None:
    """A bare number may belong to a name, so that slips do not decide there; beside it, they do."""
    texts = [
        "amoxicilin",
        "amoxicilin 500",
        "tylenl",
        "tylenl 4",
        "Tylenol 4",
        "prednisolon",
        "prednisolon 5",
    ]
    reader, vocabulary = process.database.reader(None), Vocabulary(drugs)
    batch = await find_resolutions(reader, texts)
    for text, answer in zip(texts, batch, strict=True):
        assert [answer] == await find_resolutions(reader, [text]), text
        assert answer == vocabulary.lookup(text), text


async def test_every_combination_is_found_by_its_ingredients_in_any_order(
    process: Context, drugs: list[Drug]
) -> None:
    made: dict[frozenset[str], list[Drug]] = {}
    for drug in drugs:
        made.setdefault(frozenset(ingredient_keys(drug)), []).append(drug)
    combined = [owned[0] for owned in made.values() if len(owned) == 1 and len(owned[0].ingredients) > 1]
    texts = [" and ".join(reversed(drug.ingredients)) + " 10mg" for drug in combined]
    for start in range(0, len(texts), 100):
        answers = await find_resolutions(process.database.reader(None), texts[start : start + 100])
        for drug, answer in zip(combined[start : start + 100], answers, strict=True):
            assert answer.drug == drug, drug.generic_name


async def test_strokes_and_pluses_around_a_name_are_the_same_in_both(
    process: Context, drugs: list[Drug]
) -> None:
    texts = ["oral rehydration salts + - + -", "/ Tylenol 3 /", "TMP + SMX", "+ + valium"]
    batch = await find_resolutions(process.database.reader(None), texts)
    assert batch == Vocabulary(drugs).lookup_many(texts)
    assert batch[0].drug is not None
    assert batch[0].drug.generic_name == "oral rehydration salts"
