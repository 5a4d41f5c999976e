"""Real servers for every test: one embedded PostgreSQL and Valkey per run, a new database per use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cito.core.embedded import Urls, running

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data and acceptance cases beside the repository."""
    if not SHARED.exists():
        pytest.skip("the public data folder ../shared is absent")
    return SHARED


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home for one run, in a folder that PostgreSQL's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="cito-test-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def urls(home: Path) -> Iterator[Urls]:
    """Running servers, for speed not crash-safe; the database `cito` stays empty and is a template."""
    with running(home, durable=False) as found:
        yield found


@pytest.fixture
def empty_database(urls: Urls) -> Iterator[Urls]:
    """A new database with Cito's roles and extensions and nothing else, dropped afterwards."""
    with cloned(urls, "cito") as clone:
        yield clone


@contextmanager
def cloned(urls: Urls, template: str) -> Iterator[Urls]:
    """A copy of a database for the length of a block."""
    name = f"test_{os.urandom(6).hex()}"
    statement = sql.SQL("create database {} owner cito_owner template {} strategy file_copy")
    with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
        admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urls.on(name)
    finally:
        with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
