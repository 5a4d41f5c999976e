"""`cito bench consistency`: the history of real processes over many reads, without faults and with them."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from history import Trouble, play
from shelf import INVALIDATIONS, SOURCES, Shelf
from valkey import Valkey

from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import running


def main() -> None:
    """Play and print the figures; exit code 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="cito bench consistency", description=__doc__)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument(
        "--seconds", type=float, default=1800, help="End then, with as many reads as there are."
    )
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument(
        "--faults",
        action="store_true",
        help="Stall, kill, flush and cut off the shared tier and stall the relay meanwhile.",
    )
    parser.add_argument("--json", type=Path, help="Write the figures there.")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = asyncio.run(run(given))
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))
    bound_ms = 1000
    sys.exit(int(bool(found["ownStale"] or found["stalenessMs"]["max"] > bound_ms or found["failed"])))


async def run(given: argparse.Namespace) -> dict[str, object]:
    """Play on servers of its own."""
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        home = Path(folder)
        os.chmod(folder, 0o755)  # noqa: PTH101 - before anything runs
        with running(home, durable=False) as urls:
            await migrate(urls.owner, SOURCES)
            await install(urls.owner, INVALIDATIONS)
            other = home / "cache"
            other.mkdir()
            valkey = Valkey(other)
            try:
                shelf = Shelf(type(urls)(urls.admin, urls.owner, urls.app, valkey.url), home, uuid4())
                trouble = Trouble(valkey, pause_seconds=8) if given.faults else None
                history = await play(
                    shelf,
                    home,
                    reads=given.reads,
                    count=given.processes,
                    faults=trouble,
                    seconds=given.seconds,
                )
            finally:
                valkey.stop()
        print(*history.own_stale[:20], sep="\n", file=sys.stderr)
        made = trouble.made if trouble else {}
        return {"faults": made, "processes": given.processes, **history.summary()}


if __name__ == "__main__":
    main()
