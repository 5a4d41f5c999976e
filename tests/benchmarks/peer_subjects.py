"""Other frameworks' caches as subjects of a benchmark, installed apart: their pins and ours need not agree."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from harness import CLIENT_CORE, Subject

from cito.core.embedded import VALKEY_SERVER

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "bench-peers.lock"
_FOLDER = Path(__file__).parent / "peers"
_ENVIRONMENT = ROOT / ".venv-peers"
_PORT = 8899


@contextmanager
def peers(body: Path) -> Iterator[list[Subject]]:
    """Yield the peers with a Valkey for them, or none, with the reason on stderr, where they cannot be installed.

    Args:
        body: file of the JSON that all answer with.
    """
    python = _installed()
    if python is None:
        yield []
        return
    valkey = subprocess.Popen(
        [
            "taskset",
            "-c",
            CLIENT_CORE,
            VALKEY_SERVER,
            "--port",
            str(_PORT),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        yield _subjects(python, body)
    finally:
        valkey.terminate()
        valkey.wait(10)


def _subjects(python: Path, body: Path) -> list[Subject]:
    environment = {"CACHE_URL": f"redis://127.0.0.1:{_PORT}", "BODY": str(body), "PYTHONPATH": str(_FOLDER)}
    django = [*(str(python), "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "error")]
    django += ["--blocking-threads", "1", "--port"]
    return [
        Subject("FastAPI, fastapi-cache2", [python, _FOLDER / "fastapi_cache2.py"], environment=environment),
        Subject("FastAPI, cashews", [python, _FOLDER / "fastapi_cashews.py"], environment=environment),
        Subject(
            "Django, Redis cache",
            ["sh", "-c", f"exec {' '.join(django)} $PORT django_cached:app"],
            environment=environment,
        ),
    ]


def _installed() -> Path | None:
    """Return the Python that has the peers, installed from the lock; None: it cannot be had."""
    python = _ENVIRONMENT / "bin" / "python"
    stamp = _ENVIRONMENT / "installed"
    wanted = sha256(LOCK.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    commands = (
        [sys.executable, "-m", "venv", "--clear", _ENVIRONMENT],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", LOCK],
    )
    for command in commands:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            print(
                f"peers are left out, {LOCK.name} cannot be installed: {made.stderr[-300:]}", file=sys.stderr
            )
            return None
    stamp.write_text(wanted)
    return python
