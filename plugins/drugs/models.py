"""What the drugs domain speaks of: a drug, what a text turned out to mean, and how sure that is."""

from __future__ import annotations

import re
from enum import StrEnum
from uuid import UUID

import msgspec


class Schedule(msgspec.Struct, frozen=True, rename="camel"):
    """How one jurisdiction controls a drug: `jurisdiction` as ISO 3166 alpha-2, `schedule` as it is written there."""

    jurisdiction: str
    schedule: str


class Drug(msgspec.Struct, frozen=True, rename="camel"):
    """A medicine by its active ingredients, whatever its strength and form.

    Attributes:
        id: UUIDv7, stable over renames.
        generic_name: international non-proprietary name; combinations are written `a/b`.
        brand_names: as their makers write them.
        keywords: synonyms, other countries' names, abbreviations, salts.
        ingredients: generic names of the active substances, sorted.
        classes: slugs such as `ssri` or `cyp3a4_inhibitor`, sorted.
        schedules: where it is controlled, and how; empty: nowhere that we know of.
        prescription_only: not sold without a prescription.
        is_active: False: withdrawn; found, but not to be chosen.
        version: goes up by one with each change.
    """

    id: UUID
    generic_name: str
    brand_names: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    prescription_only: bool = True
    is_active: bool = True
    version: int = 1


class Kind(StrEnum):
    """What a name is to its drug, in the order in which exact matches count."""

    GENERIC = "generic"
    BRAND = "brand"
    KEYWORD = "keyword"


class Status(StrEnum):
    """How sure a resolution is. Only `RESOLVED` may be acted upon."""

    RESOLVED = "resolved"
    SUGGEST = "suggest"
    AMBIGUOUS = "ambiguous"
    INACTIVE = "inactive"
    NOT_FOUND = "not_found"
    INVALID = "invalid"


class Parsed(msgspec.Struct, frozen=True, rename="camel"):
    """What stood beside the name, in canonical writing (`120 mg/5 mL`, `oral suspension`); None: not said."""

    strength: str | None = None
    form: str | None = None
    route: str | None = None


class Suggestion(msgspec.Struct, frozen=True, rename="camel"):
    """A drug that may have been meant; a person must confirm it.

    Attributes:
        score: 0 to 1, 1 for the same letters.
        reason: a sentence that says what is alike.
    """

    drug: Drug
    score: float
    reason: str


class Resolution(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to one name.

    Attributes:
        status: see `Status`.
        drug: the one that was meant; set when the status is `resolved` or `inactive`, never otherwise.
        suggestions: best first; set when the status is `suggest` or `ambiguous`.
        parsed: strength, form and route that were taken off the name.
        matched_on: `generic`, `brand`, `keyword` or `ingredients`; None without an exact match.
    """

    status: Status
    drug: Drug | None = None
    suggestions: tuple[Suggestion, ...] = ()
    parsed: Parsed = Parsed()
    matched_on: str | None = None


_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def class_slug(name: str) -> str:
    """Return the slug of a drug class: `CYP3A4 inhibitor` is `cyp3a4_inhibitor`."""
    return _NOT_SLUG.sub("_", name.lower()).strip("_")
