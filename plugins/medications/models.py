"""What goes in and out of the formulary."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cito.core.http.paging import Pagination
from cito.plugins.clinical.dosing import MAX_CHARACTERS

# Something to read, without control characters.
_SAYING = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_SAYING, examples=["Aspirin 81mg"])]
GenericName = Annotated[str, Meta(min_length=1, max_length=300, pattern=_SAYING, examples=["aspirin"])]
DosageForm = Annotated[str, Meta(min_length=1, max_length=100, pattern=_SAYING, examples=["chewable tablet"])]
Strength = Annotated[str, Meta(min_length=1, max_length=100, pattern=_SAYING, examples=["81 mg"])]
Manufacturer = Annotated[str, Meta(min_length=1, max_length=200, pattern=_SAYING, examples=["Bayer"])]
Ndc = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=14,
        examples=["12345-678-90"],
        description="National Drug Code: 4-4-2, 5-3-2, 5-4-1 or 5-4-2 digits, or 11 digits; answered as 5-4-2",
    ),
]


class Medicine(msgspec.Struct, frozen=True, kw_only=False, rename="camel"):
    """A medicine of the formulary.

    Attributes:
        name: as it is ordered, with its strength: `Aspirin 81mg`.
        generic_name: its ingredients, ` / ` between them.
        strength: as on the label, unit apart from the number; None where the form has none.
        ndc: 11 digits as 5-4-2; None when not known.
        active_prescriptions: how many orders of it are active.
        version: grows with each change; the first part of the ETag.
    """

    id: UUID
    name: str
    generic_name: str
    dosage_form: str
    strength: str | None
    manufacturer: str | None
    ndc: str | None
    is_controlled: bool
    active_prescriptions: int
    version: int


class MedicinePage(msgspec.Struct, frozen=True):
    """A page of the formulary."""

    medications: list[Medicine]
    pagination: Pagination


class Suggestion(msgspec.Struct, frozen=True, rename="camel"):
    """A medicine that a few typed letters may mean."""

    id: UUID
    name: str
    generic_name: str


class Suggestions(msgspec.Struct, frozen=True):
    """Suggestions, the likeliest first."""

    suggestions: list[Suggestion]


class NewMedicine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A medicine to be added."""

    name: Name
    generic_name: GenericName
    dosage_form: DosageForm
    strength: Strength | None = None
    manufacturer: Manufacturer | None = None
    ndc: Ndc | None = None
    is_controlled: bool = False


class MedicineChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What of a medicine to change: fields that are left out stay as they are (RFC 7396)."""

    name: Name | UnsetType = UNSET
    generic_name: GenericName | UnsetType = UNSET
    dosage_form: DosageForm | UnsetType = UNSET
    strength: Strength | UnsetType | None = UNSET
    manufacturer: Manufacturer | UnsetType | None = UNSET
    ndc: Ndc | UnsetType | None = UNSET
    is_controlled: bool | UnsetType = UNSET


class FrequencyText(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How often a medicine is to be given, as somebody wrote it."""

    text: Annotated[str, Meta(max_length=MAX_CHARACTERS, examples=["1 tab po bid x 10 days"])]
