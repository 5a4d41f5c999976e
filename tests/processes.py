"""API processes of their own, started, killed and started again as an operator would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cito.core.embedded import Urls


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class ApiProcess:
    """`python -m cito.core.process api`, its settings from the environment.

    Attributes:
        home: `CITO_HOME`; processes of one Cito share it.
        plugins: the enabled ones, `observability` apart.
        settings: more of `CITO_...`, without the prefix.
        trust: who signed its certificate; None: it speaks plain HTTP.
        log: takes its stderr; None: the test run's own.
    """

    urls: Urls
    home: Path
    plugins: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    trust: ssl.SSLContext | None = None
    log: Path | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CITO_HOME": str(self.home),
            "CITO_PLUGINS": ",".join(self.plugins),
            "CITO_DATABASE__URL": self.urls.app,
            "CITO_DATABASE__OWNER_URL": self.urls.owner,
            "CITO_CACHE__URL": self.urls.cache,
            **{f"CITO_{name}": value for name, value in self.settings.items()},
        }

    async def start(self) -> None:
        command = [sys.executable, "-m", "cito.core.process", "api", "--port", str(self.port)]
        with open(self.log or os.devnull, "ab") as log:  # noqa: ASYNC230, PTH123 - at once
            said = log if self.log else None
            self.process = subprocess.Popen(command, env=self.environment, stderr=said)  # noqa: ASYNC220 - at once
        async with self.client() as client:
            for _ in range(600):
                if self.process.poll() is not None:
                    break
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/health")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        self.kill()
        raise AssertionError("the API did not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def client(self) -> httpx.AsyncClient:
        scheme = "https" if self.trust else "http"
        return httpx.AsyncClient(
            base_url=f"{scheme}://127.0.0.1:{self.port}", verify=self.trust or True, timeout=10
        )
