"""What watching costs: off, by default, everything at 100 %, and OpenTelemetry's stock instrumentation.

One Cito, one process, one core; three reads of a medicine: from the local tier, from the shared tier, from the
database. The reference is the same application with observability off. Goal: by default at least 0.9x its
throughput and at most 1.10x its CPU for each request.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from harness import CLIENT_CORE, Measurement, Subject, arguments, compare, report

from cito.core.assembly import assemble, servers
from cito.core.http.tokens import mint
from cito.core.preparation import prepare, seed
from cito.core.settings import HttpSettings, Settings

HERE = Path(__file__).parent
SINK = 8869
READS = {
    "cached read (local tier)": {},
    "cached read (shared tier)": {"BENCH_LOCAL": "0"},
    "database read": {"CITO_CACHE__ENABLED": "false"},
}
OTLP = {"CITO_OBSERVABILITY__OTLP_URL": f"http://127.0.0.1:{SINK}"}
WATCHED = {
    "off": {"CITO_OBSERVABILITY__ENABLED": "false"},
    "default": OTLP,
    "all at 100 %": {**OTLP, "CITO_OBSERVABILITY__SAMPLE_RATIO": "1"},
    "stock": {
        "CITO_OBSERVABILITY__ENABLED": "false",
        "BENCH_OTLP": f"http://127.0.0.1:{SINK}",
    },
}
LIMITS = {
    "CITO_HTTP__RATE_PER_SUBJECT_PER_SECOND": "1e9",
    "CITO_HTTP__RATE_PER_CLINIC_PER_SECOND": "1e9",
    "CITO_PLUGINS": "medications",
}


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
    kept = []
    for read, measurements in found.items():
        path = Path(folder + ".json")
        report(measurements, "off", path=path, title=read)
        cpu(measurements)
        kept.append(json.loads(path.read_text()))
        path.unlink()
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1) + "\n")


def measured(home: Path, path: str, token: str, rounds: int, seconds: float) -> dict[str, list[Measurement]]:
    """Measure each read with each way of watching, in interleaved rounds."""
    sink = subprocess.Popen(
        ["taskset", "-c", CLIENT_CORE, sys.executable, str(HERE / "servers" / "sink.py")],
        env={**os.environ, "PORT": str(SINK)},
    )
    try:
        return {
            read: compare(
                [
                    Subject(
                        name,
                        [
                            sys.executable,
                            str(HERE / "servers" / ("stock.py" if name == "stock" else "observed.py")),
                        ],
                        path,
                        {"Authorization": f"Bearer {token}"},
                        {**LIMITS, **how, **watched, "CITO_HOME": str(home)},
                    )
                    for name, watched in WATCHED.items()
                ],
                connections=(32,),
                rounds=rounds,
                seconds=seconds,
            )
            for read, how in READS.items()
        }
    finally:
        sink.terminate()
        sink.wait()


def cpu(measurements: list[Measurement]) -> None:
    """Print the CPU for each request as a multiple of off's, the median of the rounds' ratios."""
    by_name: dict[str, list[float]] = {}
    for one in measurements:
        by_name.setdefault(one.subject, []).append(one.cpu_us_per_request)
    for name, own in by_name.items():
        ratios = sorted(mine / its for mine, its in zip(own, by_name["off"], strict=True))
        print(f"  CPU for each request, {name}: {ratios[len(ratios) // 2]:.2f}x off")


if __name__ == "__main__":
    main()
