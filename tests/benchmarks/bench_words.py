"""`cito bench words`: what a write costs, alone and with another node that it waits for.

One process writes rows, one after another. First nobody else is there, then two processes of another node; then every
second write does not wait for their answer, as if words were not answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from history_engine import relay
from shelf import INVALIDATIONS, SOURCES, Process, Shelf, far_process
from valkey import Valkey

from cito.core.cache.words import Words
from cito.core.commands.output import show
from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import running

_PROCESSES = 2
_WARM_UP = 50


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="cito bench words", description=__doc__)
    parser.add_argument("--writes", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="Write the figures there.")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        os.chmod(folder, 0o755)  # noqa: PTH101 - before anything runs
        urls = stack.enter_context(running(home, durable=False))
        valkey = Valkey(home / "cache")
        stack.callback(valkey.stop)
        shelf = Shelf(replace(urls, cache=valkey.url), home, uuid4())
        rows = uvloop.run(measure(shelf, home / "there", given.writes))
    show(rows, title=f"a write of one row, {given.writes} of each kind, us", as_json=False)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


async def measure(shelf: Shelf, there: Path, writes: int) -> list[dict[str, Any]]:
    """Return p50 and p99 of the writes, and what became of their words."""
    await migrate(shelf.urls.owner, SOURCES)
    await install(shelf.urls.owner, INVALIDATIONS)
    shelf.psql("insert into items (clinic_id, id, name) values (%s, 1, 'one')", shelf.clinic)
    far = shelf.elsewhere(there)
    with child(relay, shelf):
        async with shelf.process() as one:
            alone = await write(one, writes, [True])
            with ExitStack() as stack:
                ready = [stack.enter_context(child(far_process, far)) for _ in range(_PROCESSES)]
                await asyncio.gather(*(asyncio.to_thread(event.wait) for event in ready))
                together = await write(one, 2 * writes, [True, False])
            assert one.cache.words is not None
            unconfirmed = one.cache.words.counts.unconfirmed
    return [
        {"": "nobody else", **quantiles(alone[True]), "unconfirmed": 0},
        {"": "two nodes, no wait", **quantiles(together[False]), "unconfirmed": 0},
        {"": "two nodes, as it is", **quantiles(together[True]), "unconfirmed": unconfirmed},
    ]


async def write(process: Process, writes: int, kinds: Sequence[bool]) -> dict[bool, list[int]]:
    """Write so often, waiting for other nodes or not in turn; returns the times in nanoseconds."""
    words = process.cache.words
    assert words is not None
    confirmed = words.confirmed

    async def at_once(number: int, _nodes: Sequence[bytes]) -> bool:
        words.unsaid(number)
        return True

    found: dict[bool, list[int]] = {kind: [] for kind in kinds}
    for number in range(-_WARM_UP, writes):
        waits = kinds[number % len(kinds)]
        words.confirmed = confirmed if waits else at_once  # type: ignore[method-assign]
        start = time.perf_counter_ns()
        await process.rename(str(number))
        if number >= 0:
            found[waits].append(time.perf_counter_ns() - start)
        await asyncio.sleep(0.001)  # the answers to the last one are over
    words.confirmed = Words.confirmed.__get__(words)  # type: ignore[method-assign]
    return found


def quantiles(times: Sequence[int]) -> dict[str, int]:
    ordered = sorted(times)
    return {name: ordered[int(len(ordered) * share)] // 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}


@contextmanager
def child(target: Any, shelf: Shelf) -> Any:
    """Run a process; gives the event that it sets when it is ready."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    arguments = (shelf,) if target is relay else (shelf, ready)
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield ready
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    main()
