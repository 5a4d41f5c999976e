"""How commands speak: tables for people, JSON for scripts, exit codes for both."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

DONE, CHECK_FAILED, WRONG_USAGE, CANNOT_REACH = 0, 1, 2, 3

console = Console()
errors = Console(stderr=True)


def show(rows: Sequence[Mapping[str, Any]], *, title: str, as_json: bool) -> None:
    """Print rows of one shape: a table, or JSON with the same keys."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(list(rows)), indent=2).decode() + "\n")
        return
    if not rows:
        console.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.print(table)


def fail(lines: Iterable[str], code: int) -> NoReturn:
    """Print each line to standard error and leave with `code`."""
    for line in lines:
        errors.print(line, style="red", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(code)


def config_path(context: typer.Context) -> Path | None:
    """Return the file that `--config` names, for commands in modules of their own."""
    path = context.find_root().params.get("config")
    return path if isinstance(path, Path) else None


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
