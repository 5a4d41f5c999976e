"""What triage weighs and what it answers: orders, known facts about a patient, reasons, routes."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from cito.plugins.clinical.timing import Timing
from cito.plugins.clinical.vocabulary import Allergy
from cito.plugins.drugs.models import Resolution


class Route(StrEnum):
    """Where a request goes, the harmless first. The request takes the worst route of all reasons."""

    AUTO = "auto"
    PHARMACIST = "pharmacist"
    CLARIFY = "clarify"
    DOCTOR = "doctor"
    BLOCKED = "blocked"

    @property
    def rank(self) -> int:
        """The higher, the worse."""
        return list(Route).index(self)


class Order(msgspec.Struct, frozen=True):
    """One medication of a request.

    Attributes:
        name: as it was typed.
        resolution: what the vocabulary knows about the name, read for a decision.
        strength: as it was typed beside the name or in it; None: not said.
        form: likewise.
        timing: the dosage as it was understood; None: no dosage was given.
    """

    name: str
    resolution: Resolution
    strength: str | None = None
    form: str | None = None
    timing: Timing | None = None


class Allergen(msgspec.Struct, frozen=True):
    """An allergy, and what the vocabulary knows about its substance."""

    allergy: Allergy
    resolution: Resolution


class Taken(msgspec.Struct, frozen=True):
    """A medicine that the patient takes already."""

    name: str
    resolution: Resolution


class Reason(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why a request takes a route.

    Attributes:
        flag: what was found: `controlled:II`, `unknown_drug`, `interaction:high`, ...
        route: the best route that this still allows.
        items: positions of the medications it is about, from 0.
        message: one sentence for a person.
        against: the allergy or the medicine already taken that it is about.
        rule: the rule's name in the rule data; `source`: where the rule is from.
    """

    flag: str
    route: Route
    items: tuple[int, ...]
    message: str
    against: str | None = None
    rule: str | None = None
    source: str | None = None


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """The outcome of triage.

    Attributes:
        route: the worst of all reasons.
        item_routes: the worst route of each medication.
        flags: the flags of all reasons, each once, the worst first.
        reasons: everything that was found, the worst first.
        rules_version: which rule data decided.
    """

    route: Route
    item_routes: tuple[Route, ...]
    flags: tuple[str, ...]
    reasons: tuple[Reason, ...]
    rules_version: str
