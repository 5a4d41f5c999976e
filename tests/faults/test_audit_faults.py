"""The audit while processes are killed, the disk is full and the database is away: a real API process, real load."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from processes import ApiProcess
from support import CLINIC, cloned

from cito.core.assembly import Assembly, assemble
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.audit.store import store
from cito.core.audit.verify import verify
from cito.core.embedded import Urls
from cito.core.http.tokens import mint
from cito.core.settings import Settings

PATIENTS = 8
UNLIMITED = {
    "HTTP__RATE_PER_SUBJECT_PER_SECOND": "1000000",
    "HTTP__RATE_PER_CLINIC_PER_SECOND": "1000000",
}


@dataclass(kw_only=True)
class Api(ApiProcess):
    """An API process whose patients are read, and what its audit knows of it."""

    assembly: Assembly
    ids: list[UUID] = field(default_factory=list)
    headers_once: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.home / "audit"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(self.assembly.settings, 'nurse', CLINIC)}"}

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


@pytest.fixture(scope="module")
async def api(
    urls: Urls, templates: Callable[[Assembly], str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    home = tmp_path_factory.mktemp("home")
    assembly = assemble(Settings(home=home, plugins=("patients",)))
    template = await asyncio.to_thread(templates, assembly)
    with cloned(urls, template) as own:
        running = Api(own, home, ("patients",), UNLIMITED, assembly=assembly)
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


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
async def test_kill_9_under_load_leaves_no_answer_without_its_event(api: Api, rounds: int) -> None:
    shown: set[str] = set()
    for number in range(rounds):
        if number:
            await api.start()
        await api.read_and_kill(shown, 100 * (number + 1))
        await api.ship()
        assert shown - api.recorded() == set()
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
    async with api.client() as client, asyncio.timeout(30):
        while True:
            again = await client.get(f"/api/patients/{api.ids[0]}", headers=api.headers)
            if again.status_code == 200:
                break
            await asyncio.sleep(0.1)  # room is looked for twice a second
    api.kill()
    await api.ship()
    assert await api.faults() == []
