"""One typed binding for each block of `sql/medications/queries.sql` and `naive.sql`."""

from __future__ import annotations

from uuid import UUID

import msgspec

from cito.core.database.query import Query
from cito.plugins.medications.models import Medicine, Suggestion


class ByIds(msgspec.Struct, frozen=True):
    """Which medicines."""

    ids: list[UUID]


class PageOf(msgspec.Struct, frozen=True):
    """A page: rows to pass over, rows to return."""

    past: int
    size: int


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Searched(msgspec.Struct, frozen=True):
    """What was searched for; `ndcs`: with what the codes begin that it may mean."""

    search: str
    ndcs: list[str]


class PageOfSearch(Searched, frozen=True):
    """A page of what was searched for."""

    past: int
    size: int


class Typed(msgspec.Struct, frozen=True):
    """The first letters of a name, and how many suggestions are wanted."""

    typed: str
    size: int


class Stored(msgspec.Struct, frozen=True):
    """All that is stored of a medicine."""

    id: UUID
    name: str
    generic_name: str
    dosage_form: str
    strength: str | None
    manufacturer: str | None
    ndc: str | None
    is_controlled: bool


class Changed(Stored, frozen=True):
    """A medicine as it shall be, and the version that it was made from."""

    version: int


class Counted(msgspec.Struct, frozen=True):
    """How many rows."""

    total: int


class ListedMedicine(Medicine, frozen=True):
    """A row of a list, and how many rows the list has."""

    total: int


find_medications = Query("find_medications", ByIds, Medicine)
list_medications = Query("list_medications", PageOf, ListedMedicine)
count_medications = Query("count_medications", Nothing, Counted)
search_medications = Query("search_medications", PageOfSearch, ListedMedicine)
count_found_medications = Query("count_found_medications", Searched, Counted)
suggest_medications = Query("suggest_medications", Typed, Suggestion)
suggest_similar_medications = Query("suggest_similar_medications", Typed, Suggestion)
add_medication = Query("add_medication", Stored, Medicine)
change_medication = Query("change_medication", Changed, Medicine)
naive_search_medications = Query("naive_search_medications", Nothing, Medicine)
naive_suggest_medications = Query("naive_suggest_medications", Nothing, Suggestion)

ALL = (
    find_medications,
    list_medications,
    count_medications,
    search_medications,
    count_found_medications,
    suggest_medications,
    suggest_similar_medications,
    add_medication,
    change_medication,
    naive_search_medications,
    naive_suggest_medications,
)
