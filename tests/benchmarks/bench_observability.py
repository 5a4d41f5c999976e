"""What watching costs: by default, with everything at 100 %, and with OpenTelemetry's stock instrumentation.

One Cito, one process, one core; three reads of a medicine: from the local tier, from the shared tier, from the
database. Each way of watching runs beside the same application with observability off, and both are loaded in turn.
`off, once more` is the measure's own error: the same thing twice. Goal: by default at least 0.9x the throughput of
off and at most 1.10x its CPU for each request.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import psycopg
from harness import CLIENT_CORE, Measurement, Subject, alternate, arguments, environment, served
from rich.console import Console
from rich.table import Table

from cito.core.assembly import assemble, servers
from cito.core.http.tokens import mint
from cito.core.preparation import prepare, seed
from cito.core.settings import HttpSettings, Settings

HERE = Path(__file__).parent
SINK = 8869
KEEPER_PORT = 8868
READS = {
    "cached read (local tier)": {},
    "cached read (shared tier)": {"BENCH_LOCAL": "0"},
    "database read": {"CITO_CACHE__ENABLED": "false"},
}
OTLP = {"CITO_OBSERVABILITY__OTLP_URL": f"http://127.0.0.1:{SINK}"}
OFF = {"CITO_OBSERVABILITY__ENABLED": "false"}
WATCHED = {
    "off, once more": OFF,
    "default": OTLP,
    "all at 100 %": {**OTLP, "CITO_OBSERVABILITY__SAMPLE_RATIO": "1"},
    "stock": {**OFF, "BENCH_OTLP": f"http://127.0.0.1:{SINK}"},
}
LIMITS = {
    "CITO_HTTP__RATE_PER_SUBJECT_PER_SECOND": "1e9",
    "CITO_HTTP__RATE_PER_CLINIC_PER_SECOND": "1e9",
    "CITO_PLUGINS": "medications",
}
Pairs: TypeAlias = Sequence[tuple[Measurement, Measurement]]
"""By round: off, and watched."""


def main() -> None:
    given = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        settings = Settings(home=home, plugins=("medications",), http=HttpSettings())
        assembly = assemble(settings)
        with servers(settings) as urls:
            asyncio.run(prepare(assembly, urls, lambda _: None))
            asyncio.run(seed(assembly, urls, None, None))
            with psycopg.connect(urls.owner) as connection:
                row = connection.execute("select id from medications order by name limit 1").fetchone()
            assert row is not None
            token = mint(settings, "admin", None, expires_seconds=86_400)
            found = measured(home, f"/api/medications/{row[0]}", token, given.rounds, given.seconds)
    for read, ways in found.items():
        report(read, ways)
    if given.json:
        rounds = {
            read: {name: [[asdict(one) for one in pair] for pair in pairs] for name, pairs in ways.items()}
            for read, ways in found.items()
        }
        given.json.write_text(json.dumps({"environment": environment(), "rounds": rounds}, indent=1) + "\n")


def measured(
    home: Path, path: str, token: str, rounds: int, seconds: float
) -> Mapping[str, Mapping[str, Pairs]]:
    """Measure each read with each way of watching beside off."""

    def subject(name: str, *settings: Mapping[str, str]) -> Subject:
        server = HERE / "servers" / ("stock.py" if name == "stock" else "observed.py")
        added = {key: value for some in (LIMITS, *settings) for key, value in some.items()}
        return Subject(
            name,
            [sys.executable, str(server)],
            path,
            {"Authorization": f"Bearer {token}"},
            {**added, "CITO_HOME": str(home)},
        )

    sink = subprocess.Popen(
        ["taskset", "-c", CLIENT_CORE, sys.executable, str(HERE / "servers" / "sink.py")],
        env={**os.environ, "PORT": str(SINK)},
    )
    try:
        # The first process of a node does its chores, such as judging, as the worker of `cito serve` does.
        with served(subject("keeper", OTLP), KEEPER_PORT, core=CLIENT_CORE):
            return {
                read: {
                    name: alternate(
                        subject("off", how, OFF),
                        subject(name, how, watched),
                        connections=32,
                        rounds=rounds,
                        seconds=seconds,
                    )
                    for name, watched in WATCHED.items()
                }
                for read, how in READS.items()
            }
    finally:
        sink.terminate()
        sink.wait()


def report(read: str, ways: Mapping[str, Pairs]) -> None:
    """Print throughput and CPU for each request as multiples of off's: the median of the rounds and their quartiles."""
    table = Table(title=read, title_justify="left")
    for heading in (
        "watched",
        "throughput, x off",
        "CPU for each request, x off",
        "requests/s",
        "CPU us/request",
    ):
        table.add_column(heading, justify="left" if heading == "watched" else "right")
    for name, pairs in ways.items():
        table.add_row(
            name,
            _ratio([own.requests_per_second / off.requests_per_second for off, own in pairs]),
            _ratio([own.cpu_us_per_request / off.cpu_us_per_request for off, own in pairs]),
            f"{statistics.median(own.requests_per_second for _, own in pairs):,.0f}",
            f"{statistics.median(own.cpu_us_per_request for _, own in pairs):.1f}",
        )
    Console(width=120).print(table)


def _ratio(ratios: Sequence[float]) -> str:
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
