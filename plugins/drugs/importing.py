"""Brings the drugs of a file into the tables: all or nothing, and the second time nothing is left to do.

What is stored is read once, merged here, and only what differs is written: by COPY to staging tables and one
statement a table. Invalidation follows from the tables' triggers, as with any other write.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from cito.core.database.rows import row_maker
from cito.core.database.sql import read_queries
from cito.core.ids import new_id
from cito.plugins.drugs.editing import tidy
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug
from cito.plugins.drugs.names import aliases_of, ingredient_keys
from cito.plugins.drugs.reading import Line

Progress = Callable[[int, int], None]
_SQL = files("cito.sql") / "drugs"
_SAY = {name: block.text for name, block in read_queries(_SQL / "import.sql").items()}
_PROGRESS_EVERY = 1000
_INVERTED = ("contained", "bare", "slips")


class Imported(msgspec.Struct, frozen=True, rename="camel"):
    """What an import did, in drugs; `names` counts all names of those added or changed."""

    added: int
    changed: int
    unchanged: int
    names: int


async def import_all(owner_url: str, lines: Sequence[Line], progress: Progress) -> Imported:
    """Write the drugs of a file, and enter its names into the inverted indexes at the end, all at once.

    Row by row that takes most of an import. Lookups find what still waits, only slower; a process that dies meanwhile
    leaves it to the next vacuum.

    Args:
        owner_url: how the owner connects.
        lines: of `read_file`.
        progress: gets how many lines are merged, and how many there are.
    """
    try:
        async with await psycopg.AsyncConnection.connect(owner_url) as connection:
            return await import_lines(connection, lines, progress, waiting=True)
    finally:
        await asyncio.gather(*(_enter(owner_url, index) for index in _INVERTED))


async def _enter(owner_url: str, index: str) -> None:
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute(_SAY[f"enter_{index}"])


async def import_lines(
    connection: Any, lines: Sequence[Line], progress: Progress, *, waiting: bool = False
) -> Imported:
    """Write the drugs of a file.

    Args:
        connection: psycopg's, as the owner, within a transaction that the caller commits.
        lines: of `read_file`.
        progress: gets how many lines are merged, and how many there are.
        waiting: the inverted indexes gather the names in lists; the caller sees that they are entered.
    """
    await connection.execute(_SAY["lock_drugs"])
    make = row_maker(Drug)
    stored: list[Drug] = [
        make(row) for row in await (await connection.execute(_SAY["stored_drugs"])).fetchall()
    ]
    merged = merge(stored, lines, progress)
    gathering = _INVERTED if waiting else ()
    for index in gathering:
        await connection.execute(_SAY[f"gather_{index}"])
    names = await _write(connection, [*merged.new, *merged.changed])
    for index in gathering:  # in the same transaction, so that no end of it leaves them gathering
        await connection.execute(_SAY[f"scatter_{index}"])
    return Imported(len(merged.new), len(merged.changed), merged.unchanged, names)


class Merged(NamedTuple):
    """What lines make of the stored drugs: those that are new, those that become other, how many stay."""

    new: list[Drug]
    changed: list[Drug]
    unchanged: int


def merge(stored: Iterable[Drug], lines: Sequence[Line], progress: Progress) -> Merged:
    """Merge lines into the stored drugs."""
    before = {drug.id: drug for drug in stored}
    by_generic = {squash(fold(drug.generic_name)): drug.id for drug in before.values()}
    by_keyword: dict[str, list[Drug]] = defaultdict(list)
    for drug in before.values():
        for name in drug.keywords:
            by_keyword[squash(fold(name))].append(drug)
    ids = iter(sorted(new_id() for _ in lines))  # in the order of the file
    after: dict[UUID, Drug] = {}
    for done, line in enumerate(lines, 1):
        key = squash(fold(line.generic_name))
        drug_id = by_generic.get(key) or _known_otherwise(line, by_keyword) or next(ids)
        by_generic[key] = drug_id
        drug = after.get(drug_id) or before.get(drug_id) or Drug(drug_id, line.generic_name)
        after[drug_id] = _merged(drug, line)
        if done % _PROGRESS_EVERY == 0 or done == len(lines):
            progress(done, len(lines))
    new = [drug for drug in after.values() if drug.id not in before]
    changed = [drug for drug in after.values() if drug.id in before and drug != before[drug.id]]
    return Merged(new, changed, len(after) - len(new) - len(changed))


def _known_otherwise(line: Line, by_keyword: dict[str, list[Drug]]) -> UUID | None:
    """Return the stored drug that a line of synonyms is about, under another of its names.

    Both must say so: the stored drug has the line's name as a keyword ("acetaminophen"), and the line has the stored
    drug's generic name among its synonyms ("paracetamol"). One alone may be a class, a mixture or a mistake.
    """
    said = {squash(fold(name)) for name in line.synonyms}
    agreed = [
        drug
        for drug in by_keyword.get(squash(fold(line.generic_name)), ())
        if squash(fold(drug.generic_name)) in said
    ]
    return agreed[0].id if len(agreed) == 1 else None


def _merged(drug: Drug, line: Line) -> Drug:
    merged = msgspec.structs.replace(drug, **line.given)
    if line.synonyms:
        known = {squash(alias.folded) for alias in aliases_of(merged)}
        added = {squash(fold(name)): name for name in line.synonyms}
        keywords = (name for key, name in added.items() if key not in known)
        merged = msgspec.structs.replace(merged, keywords=(*merged.keywords, *keywords))
    return tidy(merged)


async def _write(connection: Any, drugs: Sequence[Drug]) -> int:
    """Copy drugs to staging tables and merge them from there; return how many names they have."""
    if not drugs:
        return 0
    aliases = [(drug, place, alias) for drug in drugs for place, alias in enumerate(aliases_of(drug), 1)]
    for stage in ("long_lists", "stage_drugs", "stage_names", "stage_schedules"):
        await connection.execute(_SAY[stage])
    await _copy(
        connection,
        "copy_drugs",
        (
            (
                drug.id,
                drug.generic_name,
                squash(fold(drug.generic_name)),
                list(drug.ingredients),
                ingredient_keys(drug),
                list(drug.classes),
                drug.prescription_only,
                drug.is_active,
            )
            for drug in drugs
        ),
    )
    await _copy(
        connection,
        "copy_names",
        (
            (drug.id, alias.kind.value, alias.name, alias.folded, squash(alias.folded), place)
            for drug, place, alias in aliases
        ),
    )
    schedules = ((drug.id, s.jurisdiction, s.schedule) for drug in drugs for s in drug.schedules)
    await _copy(connection, "copy_schedules", schedules)
    for step in ("merge_drugs", "clear_names", "merge_names", "clear_schedules", "merge_schedules"):
        await connection.execute(_SAY[step])
    await connection.execute(_SAY["analyze_drugs"])
    return len(aliases)


async def _copy(connection: Any, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    async with connection.cursor() as cursor, cursor.copy(_SAY[statement]) as copy:
        for row in rows:
            await copy.write_row(row)
