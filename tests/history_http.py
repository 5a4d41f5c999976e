"""The system of a history as people use it: API processes of two nodes, asked for patients over HTTP."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
from history import CONFLICT, Answer, System
from processes import ApiProcess
from support import CLINIC

from cito.core.audit.keys import audit_key
from cito.core.cache.keyring import KeyFile
from cito.core.embedded import Urls
from cito.core.http.tokens import mint
from cito.core.settings import Settings

PLUGINS = ("patients",)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_OUTCOME = re.compile(rb"server-timing: cache;desc=\"?(\w+)", re.IGNORECASE)
_VERSION = re.compile(rb"\"version\":(\d+)}")


def settings_of(home: Path) -> Settings:
    """The settings under which such a system's database is prepared."""
    return Settings(home=home, plugins=PLUGINS)


@asynccontextmanager
async def apis(
    urls: Urls, folder: Path, *, rows: int = 100, deadline_ms: float = 5_000, audited: bool = False
) -> AsyncIterator[System]:
    """Run two API processes on one node, one on another, and a relay.

    Args:
        urls: servers; the database is prepared for `settings_of`, and empty.
        folder: of the nodes' homes.
        rows: how many patients.
        deadline_ms: of the shared tier; without faults a long one, as a busy machine must not make one.
        audited: carry the audit to the database meanwhile, as a long history needs.
    """
    here, there = folder / "here", folder / "there"
    settings = {
        "CACHE__DEADLINE_MS": str(deadline_ms),
        "HTTP__RATE_PER_SUBJECT_PER_SECOND": "1000000",
        "HTTP__RATE_PER_CLINIC_PER_SECOND": "1000000",
    }
    first, second, third = (ApiProcess(urls, home, PLUGINS, settings) for home in (here, here, there))
    others: list[subprocess.Popen[bytes]] = []

    def start(role: str, process: ApiProcess) -> None:
        command = [sys.executable, "-m", "cito.core.process", role]
        others.append(subprocess.Popen(command, env=process.environment, stderr=subprocess.DEVNULL))

    token = mint(settings_of(here), "nurse", CLINIC)
    audit_key(settings_of(here))
    KeyFile(here / "keys" / "cache.json").open(create=True)
    shutil.copytree(here / "keys", there / "keys")  # what the nodes of one deployment share
    try:
        start("relay", first)
        for process in (first, third) if audited else ():
            start("audit", process)
        await asyncio.gather(*(process.start() for process in (first, second, third)))
        async with await psycopg.AsyncConnection.connect(urls.admin, autocommit=True) as connection:
            ids = await _patients(connection, rows)
            paths = [f"/api/patients/{one}" for one in ids]
            nodes = [
                [partial(Keeping.open, process.port, token, paths) for process in node]
                for node in ((first, second), (third,))
            ]
            yield System(nodes, rows, partial(_write_past, connection, ids), others[0].pid)
    finally:
        for one in others:
            one.terminate()
            one.wait(30)
        for process in (first, second, third):
            if process.process is not None:
                process.kill()


async def _patients(connection: psycopg.AsyncConnection, rows: int) -> list[str]:
    """Add a clinic and its patients as the administrator; returns their ids."""
    await connection.execute(
        "insert into clinic (id, name, time_zone, region, locale) values (%s, 'Clinic', 'UTC', 'US', 'en-US')",
        [CLINIC],
    )
    added = await connection.execute(
        "insert into patient (clinic_id, id, mrn, family_name) "
        "select %s::uuid, gen_random_uuid(), 'M-' || g, 'Person' from generate_series(1, %s::int) g returning id",
        [CLINIC, rows],
    )
    return [str(id_) for (id_,) in await added.fetchall()]


async def _write_past(connection: psycopg.AsyncConnection, ids: Sequence[str], row: int) -> int:
    """Write as psql does."""
    statement = "update patient set version = version + 1 where id = %s returning version"
    found = await (await connection.execute(statement, [ids[row]])).fetchone()
    assert found is not None
    return int(found[0])


class Keeping:
    """One HTTP/1.1 connection that is kept; several reads are sent at once and answered in turn."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self, port: int, token: str, paths: Sequence[str]) -> None:
        self._port = port
        who = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        self._gets = [f"GET {path} {who}\r\n".encode() for path in paths]
        self._patches = [f"PATCH {path} {who}" for path in paths]

    @classmethod
    async def open(cls, port: int, token: str, paths: Sequence[str]) -> Keeping:
        made = cls(port, token, paths)
        await made._connect()
        return made

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def read(self, rows: Sequence[int]) -> Sequence[Answer]:
        if self._reader.at_eof():  # the server has closed what was not used for a while
            self.close()
            await self._connect()
        self._writer.write(b"".join(self._gets[row] for row in rows))
        return [await self._answer() for _ in rows]

    async def write(self, row: int) -> Answer:
        """Read the row and change it, unless another has in between."""
        (seen,) = await self.read([row])
        if seen.version < 0:
            return seen
        body = f'{{"grade": "{random.randrange(1, 13)}"}}'
        self._writer.write(
            f'{self._patches[row]}If-Match: "{seen.version}"\r\nContent-Type: application/json\r\n'
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return await self._answer()

    async def _answer(self) -> Answer:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert length is not None, head
        body = await self._reader.readexactly(int(length[1]))
        status = head[9:12].decode()
        if status != "200":
            return Answer(-1, CONFLICT if status == "412" else status)
        version, outcome = _VERSION.search(body), _OUTCOME.search(head)
        assert version is not None, body
        return Answer(int(version[1]), outcome[1].decode() if outcome else "none")

    def close(self) -> None:
        self._writer.close()
