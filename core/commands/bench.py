"""`cito bench NAME`: runs a benchmark of the repository's `tests/benchmarks/`, and lists them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cito.core.commands.output import CANNOT_REACH, WRONG_USAGE, fail

_FOLDER = Path("tests/benchmarks")


def run_benchmark(name: str, arguments: Sequence[str]) -> int:
    """Run `tests/benchmarks/bench_<name>.py` with `arguments`, whose exit code is its own; `all` runs each."""
    if not _FOLDER.is_dir():
        fail(["cito bench: benchmarks come with the repository; run it in a checkout"], CANNOT_REACH)
    known = {
        file.stem.removeprefix("bench_").replace("_", "-"): file
        for file in sorted(_FOLDER.glob("bench_*.py"))
    }
    if name != "all" and name not in known:
        fail([f"cito bench {name}: choose all, {', '.join(known)}"], WRONG_USAGE)
    if name != "all":  # in the place of this process, so that a signal reaches the benchmark
        os.execv(sys.executable, [sys.executable, str(known[name]), *arguments])  # noqa: S606 - our own files
    codes = [
        subprocess.run([sys.executable, file, *arguments], check=False).returncode  # noqa: S603 - our own files
        for file in known.values()
    ]
    return max(codes, default=0)
