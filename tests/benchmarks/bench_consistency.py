"""`cito bench consistency`: the history of real processes over many reads, without faults and with them.

It ends with its figures when the reads are done, when the time is over, and when it is told to end (SIGTERM, SIGINT).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from history import System, play
from history_engine import engines
from history_http import apis, settings_of
from shelf import INVALIDATIONS, SOURCES, Shelf
from trouble import Trouble
from valkey import Valkey

from cito.core.assembly import assemble
from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import Urls, running
from cito.core.preparation import prepare

_BOUND_MS = 1_000


def main() -> None:
    """Play and print the figures; exit code 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="cito bench consistency", description=__doc__)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument(
        "--seconds", type=float, default=1_800, help="End then, with as many reads as there are."
    )
    parser.add_argument(
        "--http",
        action="store_true",
        help="Through API processes of two nodes, over HTTP, instead of three caches of one node.",
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help="Stall, kill, flush and cut off the shared tier and stall the relay meanwhile.",
    )
    parser.add_argument(
        "--past",
        type=int,
        metavar="WRITES",
        help="Nobody else reads or writes: how soon does a write as by psql show, so many times?",
    )
    parser.add_argument("--json", type=Path, help="Write the figures there.")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = asyncio.run(run(given))
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    missed = found["ownStale"] or (found["ownStaleElsewhere"] and not given.faults)
    bad = missed or found["failed"] or found["broken"] or found["stalenessMs"]["max"] > _BOUND_MS
    sys.exit(int(bool(bad)))


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Play on servers of its own."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        home = Path(folder)
        os.chmod(folder, 0o755)  # noqa: PTH101 - before anything runs
        with running(home, durable=False) as urls:
            valkey = Valkey(home / "cache")
            trouble = Trouble(valkey) if given.faults else None
            played = _over_http if given.http else _engines
            try:
                async with played(replace(urls, cache=valkey.url), home, 50 if trouble else 5_000) as system:
                    history = await play(
                        system,
                        reads=given.reads,
                        sessions=0 if given.past else 24,
                        past=given.past or float("inf"),
                        faults=trouble,
                        seconds=given.seconds,
                        stop=stop,
                    )
            finally:
                valkey.stop()
    print(*history.own_stale[:20], *history.own_elsewhere[:20], sep="\n", file=sys.stderr)
    processes = [len(node) for node in system.nodes]
    return {"faults": trouble.made if trouble else {}, "processesByNode": processes, **history.summary()}


@asynccontextmanager
async def _engines(urls: Urls, home: Path, deadline_ms: float) -> AsyncIterator[System]:
    await migrate(urls.owner, SOURCES)
    await install(urls.owner, INVALIDATIONS)
    async with engines(Shelf(urls, home, uuid4()), home, deadline_ms=deadline_ms) as system:
        yield system


@asynccontextmanager
async def _over_http(urls: Urls, home: Path, deadline_ms: float) -> AsyncIterator[System]:
    await prepare(assemble(settings_of(home)), urls, lambda _: None)
    async with apis(urls, home, deadline_ms=deadline_ms, audited=True) as system:
        yield system


if __name__ == "__main__":
    main()
