"""A cached patient profile, authenticated, clinic-scoped, traced, metered and audited, against handlers that do less.

The API process has the server core for itself; PostgreSQL, Valkey, relay and worker share the other core with the
load. Goals: at least 1.2x a bare Litestar handler and 0.75x a bare ASGI application with the same bytes, and 10x the
same answer from the caches of other frameworks, which authenticate nobody and write nothing down.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import CLIENT_CORE, SERVER_CORE, Subject, arguments, compare, report
from peer_subjects import peers

HERE = Path(__file__).parent
CITO = Path(sys.executable).parent / "cito"
CLINIC = "01900000-0000-7000-8000-000000000001"
PORT = 8861


@dataclass(frozen=True)
class Site:
    """A served Cito: where it is, and who may ask."""

    home: Path
    base: str
    token: str

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    @property
    def api_pids(self) -> list[int]:
        """Of its workers."""
        return [int(file.read_text()) for file in sorted((self.home / "run").glob("api*.pid"))]

    def get(self, path: str) -> bytes:
        asked = urllib.request.Request(self.base + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def cito(port: int = PORT, **settings: str) -> Iterator[Site]:
    """Serve Cito with its API process alone on the server core."""
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        Path(folder).chmod(0o755)
        environment = {
            **os.environ,
            "CITO_HOME": folder,
            "CITO_HTTP__RATE_PER_SUBJECT_PER_SECOND": "10000000",
            "CITO_HTTP__RATE_PER_CLINIC_PER_SECOND": "10000000",
            **settings,
        }
        serving = subprocess.Popen(
            ["taskset", "-c", CLIENT_CORE, CITO, "serve", "--port", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            base = f"http://127.0.0.1:{port}"
            _until_ready(f"{base}/ready", serving)
            token = subprocess.run(
                [CITO, "token", "--role", "nurse", "--clinic", CLINIC],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            site = Site(Path(folder), base, token)
            subprocess.run(
                ["taskset", "-apc", SERVER_CORE, str(site.api_pids[0])], check=True, stdout=subprocess.DEVNULL
            )
            yield site
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.wait(30)


def _until_ready(url: str, serving: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            if serving.poll() is not None or time.monotonic() > deadline:
                sys.exit("Cito did not become ready")
            time.sleep(0.1)
        else:
            return


def main() -> None:
    given = arguments(__doc__ or "")
    with (
        cito() as fast,
        cito(PORT + 1, CITO_HTTP__FAST_PATH="false") as slow,
        tempfile.NamedTemporaryFile() as body,
    ):
        path = f"/api/patients/{json.loads(fast.get('/api/patients?search=smith'))['patients'][0]['id']}"
        body.write(fast.get(path))
        body.flush()
        other = f"/api/patients/{json.loads(slow.get('/api/patients?search=smith'))['patients'][0]['id']}"
        bare = [sys.executable, str(HERE / "subjects" / "bare.py")]
        subjects = [
            Subject("bare Litestar", [*bare, "litestar", body.name]),
            Subject("bare ASGI", [*bare, "asgi", body.name]),
            Subject(
                "Cito", [], path, {"Authorization": f"Bearer {fast.token}"}, running=(fast.api_pids[0], PORT)
            ),
            Subject(
                "Cito, long way",
                [],
                other,
                {"Authorization": f"Bearer {slow.token}"},
                running=(slow.api_pids[0], PORT + 1),
            ),
        ]
        with peers(Path(body.name)) as others:
            found = compare(
                [*subjects, *others],
                connections=(32, 256),
                rounds=given.rounds,
                seconds=given.seconds,
                port=PORT + 2,
            )
    report(
        found,
        "bare Litestar",
        path=given.json,
        title="Cached read: the fast path against handlers that do less, one core",
    )


if __name__ == "__main__":
    main()
