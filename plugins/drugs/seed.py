"""Demo data: real drugs, written from common knowledge; what is not sure is left out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any

from cito.core.database.sql import read_queries
from cito.plugins.drugs.importing import import_lines
from cito.plugins.drugs.reading import Line, read_file

_SQL = files("cito.sql") / "drugs"


async def load_drugs(connection: Any, count: int | None, progress: Callable[[int, int], None]) -> None:
    """Bring the demo drugs into an empty vocabulary; a filled one is left alone.

    Args:
        connection: psycopg's, as the owner, in a transaction.
        count: how many drugs; None, or more than there are: all. None is ever invented.
        progress: gets how many are done, and how many there are.
    """
    filled = read_queries(_SQL / "import.sql")["drugs_are_filled"].text
    if not (await (await connection.execute(filled)).fetchone())[0]:
        await import_lines(connection, demo_drugs()[:count], progress)


def demo_drugs() -> list[Line]:
    """Return the drugs of `demo_drugs.tsv`."""
    with as_file(_SQL / "demo_drugs.tsv") as path:
        return read_file(path)
