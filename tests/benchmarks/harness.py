"""Speed as ratios: subjects are served one at a time on one core, loaded from the other, in interleaved rounds.

Absolute figures of a noisy machine say little; what holds is the ratio of two subjects measured in the same
run. Each round measures every subject once, so that a slow minute strikes all of them. Needs `wrk`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

SERVER_CORE, CLIENT_CORE = "0", "1"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Subject:
    """A server to measure.

    Attributes:
        name: what the table calls it.
        command: starts it in the foreground; the environment variable PORT says where.
        path: what is asked for.
        headers: sent with each request.
        environment: added to the server's.
        running: pid and port of a server that runs already; None: it is started for each measurement.
    """

    name: str
    command: Sequence[str]
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    running: tuple[int, int] | None = None


@dataclass(frozen=True)
class Measurement:
    """One round of one subject: throughput, latency, and the server's CPU time for each request."""

    subject: str
    connections: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    errors: int


FIGURES: Final = ("requests_per_second", "p50_ms", "p99_ms", "cpu_us_per_request")


def compare(
    subjects: Sequence[Subject], *, connections: Sequence[int], rounds: int, seconds: float, port: int = 8870
) -> list[Measurement]:
    """Measure all subjects in interleaved rounds; each server runs only while it is measured."""
    found: list[Measurement] = []
    for number in range(rounds):
        for many in connections:
            for subject in subjects:
                with served(subject, port) as (pid, where):
                    load(subject, where, many, min(1.0, seconds))  # warm
                    found.append(_measured(subject, where, many, seconds, pid))
                print(f"round {number + 1}/{rounds} {found[-1]}", file=sys.stderr)
    return found


def alternate(
    reference: Subject, subject: Subject, *, connections: int, rounds: int, seconds: float, port: int = 8870
) -> list[tuple[Measurement, Measurement]]:
    """Measure two servers that run side by side, loaded in turn: one, the other, the other, one.

    For differences of some hundredths, which `compare` cannot see: what changes with the machine strikes both alike,
    and each round starts both anew, as two processes of the same code differ by a few hundredths, too.

    Returns:
        By round: what the reference did, and what the subject did.
    """
    found = []
    for number in range(rounds):
        with served(reference, port) as (one, where), served(subject, port + 1) as (other, there):
            both = ((reference, where, one), (subject, there, other))
            for who, at, _ in both:
                load(who, at, connections, min(1.0, seconds))  # warm
            turns = [_measured(*who[:2], connections, seconds, who[2]) for who in (*both, *both[::-1])]
        found.append((_mean(turns[0], turns[3]), _mean(turns[1], turns[2])))
        print(f"round {number + 1}/{rounds} {found[-1]}", file=sys.stderr)
    return found


def _mean(one: Measurement, other: Measurement) -> Measurement:
    return Measurement(
        one.subject,
        one.connections,
        *((getattr(one, what) + getattr(other, what)) / 2 for what in FIGURES),
        one.errors + other.errors,
    )


@contextlib.contextmanager
def served(subject: Subject, port: int, *, core: str = SERVER_CORE) -> Iterator[tuple[int, int]]:
    """Run a subject on one core; yield its pid and port once it answers."""
    if subject.running is not None:
        yield subject.running
        return
    environment = {**os.environ, **subject.environment, "PORT": str(port)}
    command = ["taskset", "-c", core, *subject.command]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}{subject.path}", subject.headers, process)
        yield process.pid, port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def load(subject: Subject, port: int, connections: int, seconds: float, *, cores: str = CLIENT_CORE) -> str:
    """Ask as fast as the answers come, from the client core unless others are named; return what wrk says."""
    headers = [part for name, value in subject.headers.items() for part in ("-H", f"{name}: {value}")]
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("wrk: not found; install it (Debian: apt-get install wrk)")
    url = f"http://127.0.0.1:{port}{subject.path}"
    command = [
        "taskset",
        "-c",
        cores,
        wrk,
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        *headers,
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def report(measurements: Sequence[Measurement], reference: str, *, path: Path | None, title: str) -> None:
    """Print each subject's medians and its ratio to the reference, round by round; keep the raw figures as JSON."""
    table = Table(title=title, title_justify="left")
    for heading in (
        "subject",
        "connections",
        "requests/s",
        f"x {reference}",
        "p50 ms",
        "p99 ms",
        "CPU us/request",
        "errors",
    ):
        table.add_column(heading, justify="left" if heading == "subject" else "right")
    for (name, many), own in _grouped(measurements).items():
        base = _grouped(measurements)[reference, many]
        ratios = [
            mine.requests_per_second / its.requests_per_second for mine, its in zip(own, base, strict=True)
        ]
        table.add_row(
            name,
            str(many),
            f"{statistics.median(one.requests_per_second for one in own):,.0f}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{statistics.median(one.p50_ms for one in own):.2f}",
            f"{statistics.median(one.p99_ms for one in own):.2f}",
            f"{statistics.median(one.cpu_us_per_request for one in own):.1f}",
            str(sum(one.errors for one in own)),
        )
    Console(width=120).print(table)
    if path:
        kept = {
            "title": title,
            "reference": reference,
            "environment": environment(),
            "rounds": [asdict(m) for m in measurements],
        }
        path.write_text(json.dumps(kept, indent=1) + "\n")


def environment() -> dict[str, str | int]:
    """Return what a reader must know of the machine."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count() or 0,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def arguments(description: str) -> argparse.Namespace:
    """Read what every benchmark takes: how many rounds, how long, and where the raw figures go."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="whole ones: wrk takes no others")
    parser.add_argument("--json", type=Path, help="keep the raw figures here")
    return parser.parse_args()


def _measured(subject: Subject, port: int, connections: int, seconds: float, pid: int) -> Measurement:
    before = cpu_seconds(pid)
    said = load(subject, port, connections, seconds)
    spent = cpu_seconds(pid) - before
    answered = requests_in(said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Measurement(
        subject=subject.name,
        connections=connections,
        requests_per_second=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        p50_ms=_milliseconds(_found(r"50%\s+([\d.]+\w+)", said)),
        p99_ms=_milliseconds(_found(r"99%\s+([\d.]+\w+)", said)),
        cpu_us_per_request=spent * 1e6 / max(1, answered),
        errors=(int(failed[1]) if failed else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def requests_in(said: str) -> int:
    """Return how many answers wrk counted."""
    return int(_found(r"(\d+) requests in", said))


def cpu_seconds(pid: int) -> float:
    """CPU time of a server's process group so far."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == pid:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_SECOND


def _wait(url: str, headers: Mapping[str, str], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=2).close()
        except urllib.error.HTTPError as refused:
            sys.exit(f"{url}: {refused.code} {refused.read()[:300].decode()}")
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{url}: does not answer")
            time.sleep(0.05)
        else:
            return


def _grouped(measurements: Sequence[Measurement]) -> dict[tuple[str, int], list[Measurement]]:
    groups: dict[tuple[str, int], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.subject, one.connections), []).append(one)
    return groups


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"wrk said nothing of {pattern}:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own format
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
