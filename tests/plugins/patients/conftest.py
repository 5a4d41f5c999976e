"""A database with the patients domain, for tests of its SQL; whole sites come from the common fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files

import psycopg
import pytest
from support import CLINIC, OTHER_CLINIC, OpenSite, Site, cloned

from cito.core.database.indexes import apply_indexes
from cito.core.database.migrations import migrate
from cito.core.database.sql import read_ddl
from cito.core.embedded import Urls
from cito.plugins.patients.indexes import INDEXES

SQL = files("cito.sql")
HERE, THERE = CLINIC, OTHER_CLINIC


async def _prepare(owner_url: str) -> None:
    await migrate(owner_url, [("core", SQL / "core"), ("patients", SQL / "patients")])
    await apply_indexes(owner_url, INDEXES, read_ddl(SQL / "patients" / "indexes.sql"))


def add_clinics(urls: Urls) -> None:
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        for clinic, locale in ((HERE, None), (THERE, "en-US")):
            owner.execute(
                "insert into clinic (id, name, time_zone, region, locale) values (%s, 'Clinic', 'UTC', 'US', %s)",
                (clinic, locale),
            )


@pytest.fixture(scope="module")
def domain(urls: Urls) -> Iterator[Urls]:
    """A database of the patients domain with two empty clinics, one for each test file."""
    with cloned(urls, "cito") as own:
        asyncio.run(_prepare(own.owner))
        add_clinics(own)
        yield own


@pytest.fixture
def owner(domain: Urls) -> Iterator[psycopg.Connection]:
    """The owner of the tables, each statement by itself."""
    with psycopg.connect(domain.owner, autocommit=True) as connection:
        yield connection


@pytest.fixture
def superuser(domain: Urls) -> Iterator[psycopg.Connection]:
    """Who may look everywhere."""
    with psycopg.connect(domain.admin, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
async def clinics(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site of this plugin alone, with two clinics that have no patients yet; one for each test file."""
    async with open_site(plugins=("patients",)) as site:
        add_clinics(site.urls)
        yield site
