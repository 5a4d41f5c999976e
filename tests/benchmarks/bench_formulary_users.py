"""50 users at the formulary of a served Cito: each types a name letter by letter, then searches for it.

Users think for a quarter of a second between two requests. Measured from outside, over HTTP, once as served and once
with the cache off. Exit code 1: the 95th percentile of autocomplete is not under 50 ms, or an answer failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from harness import environment
from rich.console import Console
from rich.table import Table

NAMES = (
    *("aspirin 81 mg", "metformin 500", "lisinopril", "amoxicillin suspension", "insulin lispro", "tylenol"),
    *("ozempic", "sertraline 50 mg", "albuterol", "atorvastatin 20", "omeprazole", "hydrochlorothiazide"),
)
LIMIT_MS = 50.0
_THINK_SECONDS = 0.25
_START_SECONDS = 120.0
Times = dict[str, list[float]]


@contextmanager
def served(home: Path, *, cached: bool) -> Iterator[tuple[str, str]]:
    """Run `cito serve` with the formulary alone; yield its address and a nurse's token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "CITO_HOME": str(home),
        "CITO_PLUGINS": "medications",
        "CITO_CACHE__ENABLED": str(cached).lower(),
    }
    everything = {**os.environ, **own}
    cito = Path(sys.executable).with_name("cito")
    server = subprocess.Popen([cito, "serve", "--port", str(port)], env=everything, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _ready(base):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("cito serve did not become ready")
            time.sleep(0.1)
        clinic = "01900000-0000-7000-8000-000000000001"
        asked = [cito, "token", "--role", "nurse", "--clinic", clinic]
        token = subprocess.run(asked, env=everything, check=True, capture_output=True, text=True)
        yield base, token.stdout.strip()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def _ready(base: str) -> bool:
    try:
        urllib.request.urlopen(f"{base}/ready", timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


async def crowd(base: str, token: str, users: int, seconds: float) -> tuple[Times, int]:
    """Let users work; return the milliseconds of each request by operation, and how many failed."""
    times: Times = {"autocomplete": [], "search": []}
    failed = 0
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=users, max_keepalive_connections=users)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, limits=limits, timeout=10) as client:

        async def ask(operation: str, path: str, params: dict[str, Any]) -> None:
            nonlocal failed
            start = time.perf_counter_ns()
            answer = await client.get(path, params=params)
            times[operation].append((time.perf_counter_ns() - start) / 1e6)
            failed += answer.status_code != httpx.codes.OK

        async def user(rng: random.Random) -> None:
            await asyncio.sleep(rng.uniform(0, 1))  # they do not come all at once
            while time.monotonic() < end:
                name = rng.choice(NAMES)
                for letters in range(2, min(len(name), 8)):
                    await ask("autocomplete", "/api/medications/autocomplete", {"query": name[:letters]})
                    await asyncio.sleep(rng.uniform(0.5, 1.5) * _THINK_SECONDS)
                await ask("search", "/api/medications", {"search": name, "page": rng.randint(1, 2)})
                await asyncio.sleep(rng.uniform(0.5, 1.5) * _THINK_SECONDS)

        await asyncio.gather(*(user(random.Random(number)) for number in range(users)))
    return times, failed


def measured(users: int, seconds: float) -> list[dict[str, Any]]:
    """Measure both ways and return a row for each operation."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        Path(folder).chmod(0o755)
        for cached in (True, False):
            with served(Path(folder), cached=cached) as (base, token):
                times, failed = asyncio.run(crowd(base, token, users, seconds))
            for operation, found in times.items():
                cuts = statistics.quantiles(found, n=100)
                row = {"cache": cached, "operation": operation, "users": users, "requests": len(found)}
                rows.append(
                    {**row, "p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98], "failed": failed}
                )
    return rows


def main() -> None:
    """Measure, print, judge, and keep the raw figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path, help="keep the figures here")
    given = parser.parse_args()
    rows = measured(given.users, given.seconds)
    title = f"Formulary: {given.users} users over HTTP, milliseconds"
    table = Table(title=title, title_justify="left")
    for heading in ("cache", "operation", "requests", "p50", "p95", "p99"):
        table.add_column(heading, justify="right")
    for row in rows:
        figures = (f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
        table.add_row("on" if row["cache"] else "off", row["operation"], f"{row['requests']:,}", *figures)
    Console(width=110).print(table)
    if given.json:
        given.json.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    slow = [row for row in rows if row["operation"] == "autocomplete" and row["p95_ms"] >= LIMIT_MS]
    sys.exit(bool(slow) or any(row["failed"] for row in rows))


if __name__ == "__main__":
    main()
