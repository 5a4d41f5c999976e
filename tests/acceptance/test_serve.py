"""`cito serve` as a stranger runs it: started, asked with the printed request, stopped by Ctrl-C, started again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cito.core.http.tokens import mint
from cito.core.settings import Settings

CITO = Path(sys.executable).with_name("cito")
PARTS = {"api", "relay", "audit", "worker", "postgres", "valkey"}
SHAPE = {
    *("timeWindow", "totalRequests", "avgResponseTime", "p50", "p95", "p99", "slowRequests", "errorRate"),
    *("cache", "database", "memory", "backgroundJobs"),
}


class Running:
    """One `cito serve` of a home, up to the point where it has introduced itself."""

    def __init__(self, home: Path, plugins: str, port: int) -> None:
        self.environment = {**os.environ, "CITO_HOME": str(home), "CITO_PLUGINS": plugins}
        self.home, self.run = home, home / "run"
        self.process = subprocess.Popen(
            [CITO, "serve", "--port", str(port)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.base = f"http://127.0.0.1:{port}"
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "export TOKEN=" in line:
                break
        assert "Cito is ready" in self.said, self.said

    def ask(self, path: str, role: str) -> str:
        token = mint(Settings(home=self.home), role, None)
        request = urllib.request.Request(f"{self.base}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())

    def pids(self) -> dict[str, int]:
        return {file.stem: int(file.read_text()) for file in self.run.glob("*.pid")}

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=60)
        return str(said)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cito-serve-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(300)  # three starts, on whatever machine
def test_two_citos_start_answer_stop_in_order_and_keep_their_data(folder: Path) -> None:
    port = free_port()
    one = Running(folder / "one", "medications", port)
    other = Running(folder / "other", "", free_port())
    try:
        assert one.pids().keys() == other.pids().keys() == PARTS
        assert not set(one.pids().values()) & set(other.pids().values())
        assert json.loads(one.ask("/api/admin/performance", "admin")).keys() >= SHAPE
        assert '"/api/medications"' not in other.ask("/docs/openapi.json", "admin")
        refused = subprocess.run(
            [CITO, "serve", "--port", str(free_port())],
            env=one.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, "served already" in refused.stderr) == (3, True)
        parts = one.pids()
        # The request as it is printed, pasted into a shell.
        assert one.process.stdout is not None
        printed = iter(one.process.stdout.readline, "")
        curl = next(line for line in printed if line.startswith("curl"))
        token = re.search(r"export TOKEN=\S+", one.said)
        assert token is not None
        asked = ["bash", "-c", f"{token[0]}; {curl}"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True)
        medicines = [medicine["name"] for medicine in json.loads(answer.stdout)["medications"]]
        assert "Aspirin 81mg" in medicines
    finally:
        said = other.stop(), one.stop()
    for text in said:
        assert re.findall(r"stopping (\S+)", text) == ["api", "worker", "audit", "relay"]
    assert (one.process.returncode, other.process.returncode) == (0, 0)
    assert not one.pids()
    assert not [pid for pid in parts.values() if Path(f"/proc/{pid}").exists()]

    again = Running(folder / "one", "medications", port)
    try:
        assert "migrating" not in again.said
        assert "stopping" not in again.said
    finally:
        again.stop()
