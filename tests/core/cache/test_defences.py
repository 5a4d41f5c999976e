"""The page of the cache names the tests that hold its promises: they are there, under these names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_and_every_removal_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "cache.md").read_text()
    files = [*(ROOT / "tests").rglob("test_*.py")]
    defined = set(
        re.findall(r"^(?:async )?def (\w+)\(", "\n".join(file.read_text() for file in files), re.MULTILINE)
    )
    named = re.findall(r"`(test_\w+)(\.\.\.|\.py)?`", page)
    assert len(named) > 30
    for name, more in named:
        if more == "...":
            assert any(other.startswith(name) for other in defined), name
        elif not more:
            assert name in defined, name
    table = page[page.index("| defence |") : page.index("## When things fail")]
    removals = re.findall(r"^\| [^|]+ \| `(\w+)` \|", table, re.MULTILINE)
    assert len(removals) > 15
    assert set(removals) <= defined
    assert {name for name in defined if f"    ({name}, Faults(" in _simulation()} == set(removals)


def _simulation() -> str:
    return (Path(__file__).parent / "test_simulation.py").read_text()
