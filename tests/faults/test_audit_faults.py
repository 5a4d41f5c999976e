"""The audit while processes are killed, the disk is full and the database is away: a real API process, real load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from support import CLINIC, cloned

from cito.core.assembly import Assembly, assemble
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.audit.store import store
from cito.core.audit.verify import verify
from cito.core.embedded import Urls
from cito.core.http.tokens import mint
from cito.core.settings import Settings

PATIENTS = 20


@dataclass
class Api:
    """One API process of its own, and what it needs to be started again."""

    assembly: Assembly
    urls: Urls
    environment: dict[str, str]
    port: int
    ids: list[UUID] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    headers_once: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.assembly.settings.home / "audit"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(self.assembly.settings, 'nurse', CLINIC)}"}

    async def start(self) -> None:
        command = [sys.executable, "-m", "cito.core.process", "api", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environment)  # noqa: ASYNC220 - starting it takes no time
        async with self.client() as client:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/health")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError("the API did not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

    async def read_and_kill(self, shown: set[str], goal: int, readers: int = 4) -> None:
        """Read patients from several connections; collects the request ids of all answers that showed one.

        With the last one of the goal the API is killed, in the midst of the others.
        """

        async def reader(number: int) -> None:
            etag = ""
            async with self.client() as client:
                while True:
                    request_id = uuid4().hex
                    url = f"/api/patients/{self.ids[number % len(self.ids)]}"
                    headers = {**self.headers_once, "X-Request-Id": request_id, "If-None-Match": etag}
                    try:
                        answer = await client.get(url, headers=headers)
                    except httpx.TransportError:
                        return
                    if answer.status_code in (200, 304):
                        shown.add(request_id)
                        if len(shown) == goal:
                            self.kill()
                        etag = answer.headers["etag"] if number % 2 else ""

        self.headers_once = self.headers
        await asyncio.gather(*(reader(number) for number in range(readers)))

    async def ship(self) -> None:
        shipper = Shipper(self.folder, self.urls.app, audit_key(self.assembly.settings))
        for _ in range(2):  # the second round ships the closing of what was abandoned
            await shipper.ship_all()
        shipper._close()

    def recorded(self) -> set[str]:
        with psycopg.connect(self.urls.app) as connection:
            rows = connection.execute(
                "select request_id from cito.audit_event where resource = 'patients' and outcome = 'success'"
            )
            return {row[0] for row in rows}

    async def faults(self) -> list[str]:
        async with store(self.urls.app) as database:
            return (await verify(database, audit_key(self.assembly.settings))).faults


@pytest.fixture
async def api(urls: Urls, templates: Callable[[Assembly], str], tmp_path: Path) -> AsyncIterator[Api]:
    assembly = assemble(Settings(home=tmp_path, plugins=("patients",)))
    template = await asyncio.to_thread(templates, assembly)
    with cloned(urls, template) as own, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "CITO_HOME": str(tmp_path),
            "CITO_PLUGINS": "patients",
            "CITO_DATABASE__URL": own.app,
            "CITO_DATABASE__OWNER_URL": own.owner,
            "CITO_CACHE__URL": own.cache,
            "CITO_HTTP__RATE_PER_SUBJECT_PER_SECOND": "1000000",
            "CITO_HTTP__RATE_PER_CLINIC_PER_SECOND": "1000000",
        }
        probe.close()
        running = Api(assembly, own, environment, port)
        add_clinic(own)
        await running.start()
        async with running.client() as client:
            for number in range(PATIENTS):
                body = {"mrn": f"M-{number}", "firstName": "Test", "lastName": "Person", "sex": "unknown"}
                added = await client.post("/api/patients", json=body, headers=running.headers)
                assert added.status_code == 201, added.text
                running.ids.append(UUID(added.json()["id"]))
        yield running
        running.kill()


def add_clinic(urls: Urls) -> None:
    with psycopg.connect(urls.admin) as connection:
        statement = "insert into clinic (id, name, time_zone, region, locale) values (%s, 'Clinic', 'UTC', 'US', 'en-US')"
        connection.execute(statement, [CLINIC])


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
async def test_kill_9_under_load_leaves_no_answer_without_its_event(api: Api, rounds: int) -> None:
    shown: set[str] = set()
    for number in range(rounds):
        await api.read_and_kill(shown, 100 * (number + 1))
        await api.start()
    await api.ship()
    assert shown - api.recorded() == set()
    api.kill()
    await api.ship()
    assert await api.faults() == []
    assert not list(api.folder.glob("*.journal"))


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Put a file system without room over a folder for the length of a block."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_stops_reads_of_patient_data_and_nothing_else(api: Api) -> None:
    api.kill()
    await api.ship()
    with full_disk(api.folder):
        await api.start()
        async with api.client() as client:
            refused = await client.get(f"/api/patients/{api.ids[0]}", headers=api.headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/api/patients/metadata", headers=api.headers)).status_code == 200
            body = {"mrn": "M-full", "firstName": "Test", "lastName": "Person", "sex": "unknown"}
            written = await client.post(
                "/api/patients", json=body, headers={**api.headers, "X-Request-Id": "w-1"}
            )
            assert written.status_code == 201
            assert "w-1" in api.recorded()
    await asyncio.sleep(0.6)
    async with api.client() as client:
        assert (await client.get(f"/api/patients/{api.ids[0]}", headers=api.headers)).status_code == 200
    api.kill()
    await api.ship()
    assert await api.faults() == []
