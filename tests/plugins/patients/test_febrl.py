"""FEBRL's corrupted duplicates against their originals: how often the right patient is found."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from support import CLINIC

from cito.core.embedded import Urls
from cito.plugins.patients.folding import fold


def records(file: Path) -> dict[int, tuple[str, str, str]]:
    """Record number -> given name, family name, date of birth as written."""
    with file.open() as lines:
        rows = [[field.strip() for field in row] for row in csv.reader(lines)]
    return {int(row[0].split("-")[1]): (row[1], row[2], row[9]) for row in rows[1:]}


def day(written: str) -> date | None:
    try:
        return date(int(written[:4]), int(written[4:6]), int(written[6:]))
    except ValueError:
        return None


@pytest.fixture(scope="module")
def originals(shared: Path, domain: Urls) -> dict[int, tuple[str, str, str]]:
    found = records(shared / "data" / "names" / "febrl4a_originals_even.csv")
    with psycopg.connect(domain.owner, autocommit=True) as owner:
        owner.execute("create temporary table staged (id uuid, mrn text, given text, family text, born date)")
        with owner.cursor() as cursor, cursor.copy("copy staged from stdin") as copy:
            for number, (given, family, born) in found.items():
                copy.write_row((UUID(int=number), f"F-{number}", given, family or "-", day(born)))
        owner.execute(
            "insert into patient (clinic_id, id, mrn, given_name, family_name, date_of_birth)"
            " select %s, id, mrn, given, family, born from staged",
            (CLINIC,),
        )
    return found


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=[pytest.mark.full, pytest.mark.timeout(1200)])])
def test_recall(
    shared: Path,
    owner: psycopg.Connection,
    originals: dict[int, tuple[str, str, str]],
    every: int,
    figure: Callable[[str], None],
) -> None:
    assert len(originals) == 2500
    duplicates = records(shared / "data" / "names" / "febrl4b_corrupted_duplicates_even.csv")
    asked = {number: row for number, row in duplicates.items() if number // 2 % every == 0}
    places: dict[str, list[int | None]] = {"name": [], "name and birth date": []}
    owner.execute("select set_config('cito.clinic_id', %s, false)", (str(CLINIC),))
    for number, (given, family, born) in asked.items():
        words = fold(f"{given} {family}").split()
        known = day(born)
        places["name"].append(place(owner, words, None, number) if words else None)
        places["name and birth date"].append(place(owner, words, known, number) if words or known else None)
    recall = {
        kind: tuple(sum(p is not None and p < most for p in found) / len(found) for most in (1, 10))
        for kind, found in places.items()
    }
    for kind, (first, ten) in recall.items():
        figure(f"FEBRL, {kind}, {len(asked)} searches: recall@1 {first:.4f}, recall@10 {ten:.4f}")
    assert recall["name"][1] >= 0.90
    assert recall["name and birth date"][0] >= 0.93
    assert recall["name and birth date"][1] >= 0.975


def place(owner: psycopg.Connection, words: list[str], born: date | None, number: int) -> int | None:
    """Where the original stands among those found, from 0."""
    rows = owner.execute(
        "select id from find_patients(%s, %s::text[],"
        " row(null, null, null, null, null, null, %s::date, null)::patient_criteria, %s, 'active', 1001)"
        " order by place limit 10",
        (CLINIC, words, born, 0 if born is None else 1),
    ).fetchall()
    return next((i for i, (id_,) in enumerate(rows) if id_.int == number), None)
