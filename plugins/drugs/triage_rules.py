"""The rule data of triage, in `rules/*.tsv` for a pharmacist to read: each row with its source."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files

from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, class_slug
from cito.plugins.drugs.triage_models import Route

_FILES = (
    "groups.tsv",
    "interactions.tsv",
    "controlled.tsv",
    "dose_limits.tsv",
    "high_alert.tsv",
    "allergy_classes.tsv",
    "other_allergens.tsv",
)
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two groups of ingredients that must not meet without a doctor; `level` is `high` or `site_rule`."""

    rule: str
    level: str
    group: str
    other_group: str
    route: Route
    risk: str
    source: str


@dataclass(frozen=True, slots=True)
class DoseLimit:
    """Most of an ingredient at once and in a day, in milligrams."""

    once_mg: Fraction
    daily_mg: Fraction
    source: str


@dataclass(frozen=True, slots=True)
class HighAlert:
    """An ingredient whose doses are days apart.

    Attributes:
        ingredient: folded.
        most_per_day: doses; 1/7 is weekly.
        from_mg: only strengths from this one on are meant; `from_units`: the same in international units.
        only: words of which the order must say one; `unless`: words that exempt it.
        source: where the rule is from.
    """

    ingredient: str
    most_per_day: Fraction
    from_mg: Fraction | None
    from_units: Fraction | None
    only: tuple[str, ...]
    unless: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class AllergyClass:
    """A class by which an allergy reaches other medicines; `parent` is a wider class."""

    name: str
    parent: str
    severe: Route
    source: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rule data. `version` names the exact data: a digest over the files."""

    version: str
    members: dict[str, frozenset[str]]
    group_classes: dict[str, frozenset[str]]
    interactions: tuple[Interaction, ...]
    controlled: dict[tuple[str, str], Route]
    dose_limits: dict[str, DoseLimit]
    high_alert: tuple[HighAlert, ...]
    allergy_classes: dict[str, AllergyClass]
    class_names: dict[str, str]
    other_allergens: frozenset[str]

    def groups_of(self, drug: Drug) -> frozenset[str]:
        """Return the groups that a drug belongs to, by its ingredients or by its classes."""
        ingredients = {fold(ingredient) for ingredient in drug.ingredients}
        classes = set(drug.classes)
        return frozenset(
            group
            for group, members in self.members.items()
            if members & ingredients or self.group_classes[group] & classes
        )

    def route_of_schedule(self, jurisdiction: str, schedule: str) -> Route:
        """Return where a controlled schedule sends an order; unknown ones to a doctor."""
        for key in ((jurisdiction, schedule), (jurisdiction, _ANY), (_ANY, schedule), (_ANY, _ANY)):
            if key in self.controlled:
                return self.controlled[key]
        return Route.DOCTOR


@cache
def load_rules() -> Rules:
    """Read and cross-check the rule data that ships with the plugin.

    Raises:
        ValueError: a rule speaks of a group or a class that does not exist.
    """
    classes = {row["class"]: row for row in _rows("allergy_classes.tsv")}
    groups = list(_rows("groups.tsv"))
    rules = Rules(
        version=_version(),
        members={row["group"]: frozenset(fold(name) for name in _list(row["ingredients"])) for row in groups},
        group_classes={row["group"]: frozenset(_list(row["classes"])) for row in groups},
        interactions=tuple(
            Interaction(
                rule=row["rule"],
                level=row["level"],
                group=row["group"],
                other_group=row["other_group"],
                route=Route(row["route"]),
                risk=row["risk"],
                source=row["source"],
            )
            for row in _rows("interactions.tsv")
        ),
        controlled={
            (row["jurisdiction"], row["schedule"]): Route(row["route"]) for row in _rows("controlled.tsv")
        },
        dose_limits={
            fold(row["ingredient"]): DoseLimit(
                _number(row["once_mg"]), _number(row["daily_mg"]), row["source"]
            )
            for row in _rows("dose_limits.tsv")
        },
        high_alert=tuple(
            HighAlert(
                ingredient=fold(row["ingredient"]),
                most_per_day=_number(row["most_per_week"]) / 7,
                from_mg=_number(row["from_mg"]) if row["from_mg"] else None,
                from_units=_number(row["from_units"]) if row["from_units"] else None,
                only=tuple(map(fold, _list(row["only"]))),
                unless=tuple(map(fold, _list(row["unless"]))),
                source=row["source"],
            )
            for row in _rows("high_alert.tsv")
        ),
        allergy_classes={
            name: AllergyClass(name, row["parent"], Route(row["severe"]), row["source"])
            for name, row in classes.items()
        },
        class_names={
            squash(fold(name)): slug for slug, row in classes.items() for name in _list(row["names"])
        },
        other_allergens=frozenset(squash(fold(row["substance"])) for row in _rows("other_allergens.tsv")),
    )
    _check(rules)
    return rules


def _check(rules: Rules) -> None:
    for pair in rules.interactions:
        for group in (pair.group, pair.other_group):
            if group not in rules.members:
                raise ValueError(
                    f"interactions.tsv: rule {pair.rule} names group {group}, which groups.tsv lacks"
                )
    for name, row in rules.allergy_classes.items():
        if name != class_slug(name) or (row.parent and row.parent not in rules.allergy_classes):
            raise ValueError(
                f"allergy_classes.tsv: {name} is no slug, or its parent {row.parent} is not listed"
            )


def _rows(name: str) -> Iterator[dict[str, str]]:
    lines = [line for line in _text(name).splitlines() if line and not line.startswith("#")]
    return csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


def _text(name: str) -> str:
    return (files("cito.plugins.drugs") / "rules" / name).read_text(encoding="utf-8")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _number(text: str) -> Fraction:
    return Fraction(Decimal(text))


def _version() -> str:
    digest = hashlib.sha256("\x00".join(_text(name) for name in _FILES).encode())
    return digest.hexdigest()[:12]
