from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from cito.core.audit.entry import Entry
from cito.core.audit.ship import Shipper
from cito.core.audit.store import store
from cito.core.audit.verify import Verdict, verify
from cito.core.database.migrations import migrate
from cito.core.embedded import Urls

KEY = os.urandom(32)
NOVEMBER = 1_795_000_000_000_000_000  # 2026-11-18


@pytest.fixture
async def audited(empty_database: Urls) -> Urls:
    """A database with the core's tables."""
    await migrate(empty_database.owner, [("core", files("cito.sql") / "core")])
    return empty_database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def entry(number: int = 0, *, patients: int = 1, at_ns: int = NOVEMBER, clinic: UUID | None = None) -> Entry:
    return Entry(
        at_ns + number * 1_000_000,
        "staff-1",
        "nurse",
        clinic or UUID(int=1),
        "read",
        "success",
        "patients",
        f"thing-{number}",
        tuple(uuid4() for _ in range(patients)),
        f"request-{number}",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "TREAT",
    )


async def ship(folder: Path, urls: Urls) -> int:
    shipper = Shipper(folder, urls.app, KEY)
    try:
        return await shipper.ship_all()
    finally:
        shipper._close()


async def checked(urls: Urls, **more: object) -> Verdict:
    async with store(urls.app) as database:
        return await verify(database, KEY, **more)  # type: ignore[arg-type]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    point = tmp_path / "disk"
    point.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", point], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    yield point
    subprocess.run(["umount", "-l", point], check=True)
