"""Typed bindings of `sql/drugs/queries.sql`: what goes in, what comes out."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from cito.core.database.query import Query, Statement
from cito.plugins.drugs.models import Drug, Kind

# -- parameters ------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True):
    """Typed names, taken apart.

    Attributes:
        keys: squashed texts that may be a name of a drug or of an ingredient.
        cores: bare names, for which similar names are wanted.
        core_places, exact_keys: pairs of a core's place, from 1, and a key that makes its similar names unwanted.
        slip_places, slips: pairs of a core's place and a writing that a name one slip away has too.
    """

    keys: list[str]
    cores: list[str]
    core_places: list[int]
    exact_keys: list[str]
    slip_places: list[int]
    slips: list[str]


class ByIds(msgspec.Struct, frozen=True):
    """Which drugs."""

    ids: list[UUID]


class PageOf(msgspec.Struct, frozen=True):
    """Which page: rows to pass over, rows to show."""

    past: int
    size: int


class PageOfClass(PageOf, frozen=True):
    """Which page of a class."""

    drug_class: str
    schedules: list[str]


class PageOfSchedule(PageOf, frozen=True):
    """Which page of a schedule."""

    schedule: str


class PageOfSearch(PageOf, frozen=True):
    """Which page of a search.

    Attributes:
        key: the squashed text.
        folded: the folded text.
        pattern: for LIKE: the folded text anywhere in a name.
        long: whether the text is long enough to be looked for in the middle of names.
        classes, schedules: what else the drugs must have; empty: anything.
    """

    key: str
    folded: str
    pattern: str
    long: bool
    classes: list[str]
    schedules: list[str]


class NewRow(msgspec.Struct, frozen=True):
    """A row of `drugs`."""

    id: UUID
    generic_name: str
    generic_key: str
    ingredients: list[str]
    ingredient_keys: list[str]
    classes: list[str]
    prescription_only: bool
    is_active: bool


class ChangedRow(NewRow, frozen=True):
    """A row of `drugs` and the version that it replaces."""

    version: int


class OfDrug(msgspec.Struct, frozen=True):
    """Which drug's."""

    drug_id: UUID


class Names(OfDrug, frozen=True):
    """The names of a drug, column by column."""

    kinds: list[str]
    names: list[str]
    folded: list[str]
    keys: list[str]


class Schedules(OfDrug, frozen=True):
    """The schedules of a drug, column by column."""

    jurisdictions: list[str]
    schedules: list[str]


class NaiveName(msgspec.Struct, frozen=True):
    """A folded name, and a pattern that holds it."""

    folded: str
    part: str


class NaiveSimilar(msgspec.Struct, frozen=True):
    """A folded name and how many similar ones are wanted."""

    typed: str
    most: int


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


# -- rows ------------------------------------------------------------------------------------------------------


class Reason(msgspec.Struct, frozen=True):
    """Why a drug was found: `exact` and `alike` name the alias, `alike` also its core and place in the order.

    Place 0: it is one slip away; from 1: its trigrams are alike.
    """

    how: Literal["exact", "composed", "alike"]
    kind: Kind = Kind.GENERIC
    name: str = ""
    folded: str = ""
    core: str = ""
    place: int = 0


class FoundRow(Drug, frozen=True):
    """A drug and why it was found."""

    reasons: tuple[Reason, ...] = ()


class PageRow(Drug, frozen=True):
    """A drug of a page and how many the list has."""

    total: int = 0


def as_drug(row: Drug) -> Drug:
    """Return a row's drug alone, as the API shows it."""
    return Drug(*msgspec.structs.astuple(row)[: len(Drug.__struct_fields__)])


# -- bindings --------------------------------------------------------------------------------------------------

lookup_drugs = Query("lookup_drugs", Asked, FoundRow)
find_drugs = Query("find_drugs", ByIds, Drug)
every_drug = Query("every_drug", Nothing, Drug)
list_drugs = Query("list_drugs", PageOf, PageRow)
list_drugs_of_class = Query("list_drugs_of_class", PageOfClass, PageRow)
list_drugs_of_schedule = Query("list_drugs_of_schedule", PageOfSchedule, PageRow)
search_drugs = Query("search_drugs", PageOfSearch, PageRow)
add_drug = Statement("add_drug", NewRow)
change_drug = Statement("change_drug", ChangedRow)
remove_names = Statement("remove_names", OfDrug)
add_names = Statement("add_names", Names)
remove_schedules = Statement("remove_schedules", OfDrug)
add_schedules = Statement("add_schedules", Schedules)
naive_lookup_drugs = Query("naive_lookup_drugs", NaiveName, Drug)
naive_search_drugs = Query("naive_search_drugs", NaiveSimilar, Drug)

ALL = (
    lookup_drugs,
    find_drugs,
    every_drug,
    list_drugs,
    list_drugs_of_class,
    list_drugs_of_schedule,
    search_drugs,
    add_drug,
    change_drug,
    remove_names,
    add_names,
    remove_schedules,
    add_schedules,
    naive_lookup_drugs,
    naive_search_drugs,
)
