"""Demo data: real medicines, written from common knowledge; what is not sure is left out (NDCs above all)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

from cito.core.database.sql import read_queries
from cito.core.ids import new_id

_SQL = files("cito.sql") / "medications"
_PROGRESS_EVERY = 200


async def load_formulary(connection: Any, count: int | None, progress: Callable[[int, int], None]) -> None:
    """Copy the demo formulary into an empty `medications`; a filled one is left alone.

    Args:
        connection: psycopg's, as the owner, in a transaction.
        count: how many medicines; None, or more than there are: all. None is ever invented.
        progress: gets how many are done, and how many there are.
    """
    say = {name: block.text for name, block in read_queries(_SQL / "seed.sql").items()}
    if (await (await connection.execute(say["formulary_is_filled"])).fetchone())[0]:
        return
    medicines = list(read_formulary())[:count]
    async with connection.cursor() as cursor, cursor.copy(say["copy_formulary"]) as copy:
        for done, medicine in enumerate(medicines, 1):
            await copy.write_row((new_id(), *medicine))
            if done % _PROGRESS_EVERY == 0 or done == len(medicines):
                progress(done, len(medicines))


def read_formulary() -> Iterator[tuple[str | None, ...]]:
    """Yield name, generic name, dosage form, strength, manufacturer, NDC and whether it is controlled."""
    lines = (_SQL / "formulary.tsv").read_text(encoding="utf-8").splitlines()
    for row in csv.reader(lines[1:], delimiter="\t", quoting=csv.QUOTE_NONE):
        yield tuple(value or None for value in row)
