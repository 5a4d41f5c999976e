"""The straightforward twins of search and autocomplete: fetch all, fold, match, rank and cut in memory.

Baseline of the benchmark and oracle of the property tests: written apart from the SQL on purpose, it shares
nothing with it but the rules, which are those of docs/decisions/formulary-ranking.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from cito.core.declarations import Executor
from cito.core.http.paging import RANKED_CAP, paginate
from cito.plugins.medications import queries as q
from cito.plugins.medications.models import Medicine, MedicinePage, Suggestions
from cito.plugins.medications.ndc import ndc_beginnings

_UNITS = {
    "mg": ("mg", "mgs", "milligram", "milligrams"),
    "mcg": ("mcg", "mcgs", "microgram", "micrograms", "ug", "μg"),
    "g": ("g", "gm", "gram", "grams"),
    "ml": ("ml", "mls", "cc", "milliliter", "milliliters", "millilitre", "millilitres"),
    "units": ("unit", "units", "iu"),
    "meq": ("meq",),
}
_UNIT_OF = {spelling: unit for unit, spellings in _UNITS.items() for spelling in spellings}
_PLURALS = [
    "tab",
    "tablet",
    "capsule",
    "cream",
    "gel",
    "inhaler",
    "injection",
    "lotion",
    "ointment",
    "pen",
    "solution",
    "suspension",
]
_ONE_BY_ONE = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        **dict.fromkeys("'\u2019\u02bc`\u00b4", ""),
    }
)


class Named(Protocol):
    """What the rules look at in a medicine or a suggestion."""

    @property
    def id(self) -> UUID:
        """The last tie-break."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def generic_name(self) -> str:
        """Its generic name."""
        ...


N = TypeVar("N", bound=Named)


def words(text: str) -> list[str]:
    """Return the words of a text in their one spelling; the twin of the SQL function `formulary_words`."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_ONE_BY_ONE)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<!\d)\.(?=\d)", "0.", text)
    text = re.sub(r"\d+\.\d+", lambda m: m[0].rstrip("0").rstrip("."), text)
    spellings = "|".join(sorted(_UNIT_OF, key=len, reverse=True))
    text = re.sub(rf"(?<=\d)[\s-]*({spellings})(?!\w)", lambda m: _UNIT_OF[m[1]], text)
    text = re.sub(r"(?<=\d)\s+%", "%", text)
    text = re.sub(rf"\b({'|'.join(_PLURALS)})s(?!\w)", r"\1", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", " ", text)
    return re.findall(r"[\w%.]+", text)


def order(named: Named) -> tuple[str, UUID]:
    """Return by what medicines are listed: the name, its numbers by size, then the id."""
    name = re.sub(r"(?<=\d)(?=[^\d. ])", " ", " ".join(words(named.name)))
    return re.sub(r"(?<![\d.])\d+", lambda m: m[0].zfill(8), name), named.id


def tier(asked: Sequence[str], medicine: Medicine, beginnings: Sequence[str]) -> int | None:
    """Return how well a medicine fits, 0 the best; None: it does not."""
    if medicine.ndc and medicine.ndc.startswith(tuple(beginnings)):
        return 0
    name, generic = words(medicine.name), words(medicine.generic_name)
    rest = f"{medicine.strength or ''} {medicine.dosage_form}", medicine.manufacturer or ""
    everything = [*name, *generic, *(word for text in rest for word in words(text))]
    if not asked or not all(any(word.startswith(one) for word in everything) for one in asked):
        return None
    typed, named, generically = " ".join(asked), " ".join(name), " ".join(generic)
    rules = (
        named == typed,
        named.startswith(f"{typed} "),
        f"{generically} ".startswith(f"{typed} "),
        named.startswith(typed),
        set(asked) <= set(name),
        generically.startswith(typed),
        set(asked) <= set(everything),
        all(any(word.startswith(one) for word in name) for one in asked),
        True,
    )
    return rules.index(True) + 1


async def find_page(on: Executor, search: str, page: int, limit: int) -> MedicinePage:
    """Return a page as `search_medications` and `list_medications` do."""
    everything = await q.naive_search_medications.all(on, q.Nothing())
    if not search:
        found, cap = sorted(everything, key=order), None
    else:
        asked, beginnings, cap = words(search), ndc_beginnings(search), RANKED_CAP
        ranked = [
            (fit, "/" in medicine.generic_name, order(medicine), medicine)
            for medicine in everything
            if (fit := tier(asked, medicine, beginnings)) is not None
        ]
        found = [medicine for *_, medicine in sorted(ranked, key=lambda row: row[:3])]
    shown = found if cap is None else found[:cap]
    first = (page - 1) * limit
    return MedicinePage(shown[first : first + limit], paginate(page, limit, len(found), cap=cap))


async def suggest(on: Executor, typed: str, limit: int) -> Suggestions:
    """Return suggestions as `suggest_medications` does; misspelt names it does not know."""
    asked = words(typed)
    found = []
    for one in await q.naive_suggest_medications.all(on, q.Nothing()):
        name, generic = words(one.name), words(one.generic_name)
        if not asked:
            continue
        if " ".join(name).startswith(" ".join(asked)):
            found.append((1, order(one), one))
        elif all(any(word.startswith(each) for word in name) for each in asked):
            found.append((2, order(one), one))
        elif all(any(word.startswith(each) for word in (*name, *generic)) for each in asked):
            found.append((3, order(one), one))
    return Suggestions([one for *_, one in sorted(found, key=lambda row: row[:2])][:limit])
