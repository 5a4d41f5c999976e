"""People for demonstrations and load tests: households with names as frequent as in a census.

The same number gives the same people. Phone numbers lie in ranges that no one is called on, e-mail at example.org.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from random import Random

import msgspec

from cito.plugins.patients.models import Clinic

# The whole census, where the public data folder stands beside the repository.
_LONG = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "names"
_TODAY = date(2026, 1, 1)  # ages are as of one day, so that people stay the same
_PHONES = {"US": ("+1{area}555", 4), "GB": ("+441632", 6), "NG": ("+2341555", 4)}
_ACCENTED = {
    "Garcia": "García",
    "Martinez": "Martínez",
    "Rodriguez": "Rodríguez",
    "Hernandez": "Hernández",
    "Lopez": "López",
    "Gonzalez": "González",
    "Perez": "Pérez",
    "Sanchez": "Sánchez",
    "Ramirez": "Ramírez",
    "Jose": "José",
    "Maria": "María",
    "Obrien": "O'Brien",
    "Oconnor": "O'Connor",
    "Oneill": "O'Neill",
}
# Shares of households and people, rough guesses.
_DOUBLE_NAMED, _WITH_EMAIL, _FEMALE, _MIDDLE_NAMED, _WRITTEN_WITH_ACCENT = 0.03, 0.7, 0.5, 0.2, 0.6
_GRADES = ("K", *(str(n) for n in range(1, 13)))
_CHILD, _ADULT = 5, 18


class Person(msgspec.Struct, frozen=True):
    """One made-up patient; the fields are the columns of the staging table, in order."""

    number: int
    mrn: str
    student_number: str | None
    given_name: str
    middle_name: str
    family_name: str
    date_of_birth: date
    sex: str
    status: str
    grade: str | None
    phone: str
    email: str | None
    address: str


class _Names(msgspec.Struct, frozen=True):
    names: list[str]
    weights: list[float]

    def choose(self, dice: Random, how_many: int) -> list[str]:
        return dice.choices(self.names, cum_weights=self.weights, k=how_many)


def people(first: int, count: int, clinic: Clinic) -> Iterator[Person]:
    """Yield `count` people of a clinic from number `first` on, with phones of its region."""
    region = clinic.region
    dice = Random(f"{clinic.id} {first}")  # noqa: S311 - nothing secret: the same people each time
    family_names, female, male = _census()
    number = first
    while number < first + count:
        [family] = family_names.choose(dice, 1)
        if dice.random() < _DOUBLE_NAMED:
            family = f"{family}-{family_names.choose(dice, 1)[0]}"
        phone, address = _phone(dice, region), f"{dice.randint(1, 9999)} {_street(dice, family_names)}"
        mail = (
            f"{family.lower().replace(chr(39), '')}{number}@example.org"
            if dice.random() < _WITH_EMAIL
            else None
        )
        for member in range(min(dice.choice((1, 1, 2, 3, 4, 5)), first + count - number)):
            is_female = dice.random() < _FEMALE
            given, middle = (female if is_female else male).choose(dice, 2)
            years = dice.randint(0, 17) if member > 1 else dice.randint(18, 95)
            yield Person(
                number=number,
                mrn=f"MRN-{number + 100_000}",
                student_number=f"S{number + 10_000}" if _CHILD <= years < _ADULT else None,
                given_name=_written(dice, given),
                middle_name=_written(dice, middle) if dice.random() < _MIDDLE_NAMED else "",
                family_name="-".join(_written(dice, part) for part in family.split("-")),
                date_of_birth=_TODAY - timedelta(days=years * 365 + dice.randint(0, 364)),
                sex="female" if is_female else "male",
                status=dice.choices(("active", "inactive", "deceased"), cum_weights=(93, 98, 100))[0],
                grade=_GRADES[years - _CHILD] if _CHILD <= years < _ADULT else None,
                phone=phone,
                email=mail,
                address=address,
            )
            number += 1


def _phone(dice: Random, region: str) -> str:
    start, digits = _PHONES.get(region, _PHONES["US"])
    return start.format(area=dice.randint(201, 989)) + str(dice.randrange(10**digits)).zfill(digits)


def _street(dice: Random, names: _Names) -> str:
    return f"{names.choose(dice, 1)[0]} {dice.choice(('Street', 'Road', 'Avenue', 'Lane'))}"


def _written(dice: Random, name: str) -> str:
    """The census has no accents; their bearers do, more often than not."""
    return _ACCENTED[name] if name in _ACCENTED and dice.random() < _WRITTEN_WITH_ACCENT else name


@cache
def _census() -> tuple[_Names, _Names, _Names]:
    """Return family, female and male names with their frequencies."""
    if _LONG.exists():
        with gzip.open(_LONG / "us_census_1990_dist.all.last.gz", "rt") as file:
            family = [line.split()[:2] for line in file]
        female, male = (
            [
                line.split()[:2]
                for line in (_LONG / f"us_census_1990_dist.{sex}.first").read_text().splitlines()
            ]
            for sex in ("female", "male")
        )
        return _weighed(family), _weighed(female), _weighed(male)
    rows = [
        line.split("\t")
        for line in (files("cito.plugins.patients") / "names.tsv").read_text().splitlines()
        if not line.startswith("#")
    ]
    family, female, male = (
        [row[1:] for row in rows if row[0] == kind] for kind in ("family", "female", "male")
    )
    return _weighed(family), _weighed(female), _weighed(male)


def _weighed(rows: list[list[str]]) -> _Names:
    return _Names([row[0].capitalize() for row in rows], list(accumulate(float(row[1]) for row in rows)))
