"""What the drugs domain speaks of: a drug, what a text turned out to mean, and how sure that is."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from cito.core.http.paging import Pagination


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


Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
    ),
]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=500)]
Jurisdiction = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
ScheduleCode = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")]


class NewSchedule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How a jurisdiction controls the drug: ISO 3166 alpha-2, and the schedule as it is written there."""

    jurisdiction: Jurisdiction
    schedule: ScheduleCode


class NewDrug(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A drug to be added; without ingredients, the parts of its generic name are them (`a/b`: a and b)."""

    generic_name: Name
    brand_names: Names = ()
    keywords: Names = ()
    ingredients: Names = ()
    classes: Names = ()
    schedules: tuple[NewSchedule, ...] = ()
    prescription_only: bool = True
    is_active: bool = True


class DrugChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The fields of a drug to change; a list replaces the whole list."""

    generic_name: Name | msgspec.UnsetType = msgspec.UNSET
    brand_names: Names | msgspec.UnsetType = msgspec.UNSET
    keywords: Names | msgspec.UnsetType = msgspec.UNSET
    ingredients: Names | msgspec.UnsetType = msgspec.UNSET
    classes: Names | msgspec.UnsetType = msgspec.UNSET
    schedules: tuple[NewSchedule, ...] | msgspec.UnsetType = msgspec.UNSET
    prescription_only: bool | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class LookupRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Up to 100 typed names; one that cannot be a name gets the status `invalid` in its place."""

    names: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]


class LookupAnswers(msgspec.Struct, frozen=True, rename="camel"):
    """One answer for each name, in the order of the names."""

    results: tuple[Resolution, ...]


class Everything(msgspec.Struct, frozen=True, rename="camel"):
    """The whole vocabulary, by id."""

    drugs: tuple[Drug, ...]


class DrugPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of drugs."""

    drugs: tuple[Drug, ...]
    pagination: Pagination


_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def class_slug(name: str) -> str:
    """Return the slug of a drug class: `CYP3A4 inhibitor` is `cyp3a4_inhibitor`."""
    return _NOT_SLUG.sub("_", name.lower()).strip("_")
