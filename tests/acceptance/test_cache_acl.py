"""A whole Cito whose shared cache lets it do what `cito cache acl` says, and nothing else."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support import OpenSite, Site
from typer.testing import CliRunner
from valkey import Valkey

from cito.core.cli import app
from cito.core.commands.output import CANNOT_REACH
from cito.core.settings import HttpSettings

RATE = 5


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="cito-valkey-") as folder:
        server = Valkey(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="module")
def limited_url(valkey: Valkey) -> str:
    return f"{valkey.url}?username=cito&password=secret"


@pytest.fixture(scope="module")
async def site(open_site: OpenSite, valkey: Valkey, limited_url: str) -> AsyncIterator[Site]:
    http = HttpSettings(rate_per_subject_per_second=RATE)
    async with Redis.from_url(valkey.url) as server:
        await server.execute_command("ACL", "SETUSER", "cito", "on", ">secret", "~*", "&*", "+@all")
        async with open_site(cache_url=limited_url, plugins=("medications",), http=http) as opened:
            rules = (await cito(opened, limited_url, "acl")).split()
            await server.execute_command("ACL", "SETUSER", "cito", *rules, ">secret")
            await server.execute_command("CLIENT", "KILL", "SKIPME", "yes")
            yield opened


async def cito(site: Site, cache_url: str, *arguments: str) -> str:
    environment = {
        "CITO_HOME": str(site.assembly.settings.home),
        "CITO_PLUGINS": "medications",
        "CITO_DATABASE__URL": site.urls.app,
        "CITO_DATABASE__OWNER_URL": site.urls.owner,
        "CITO_CACHE__URL": cache_url,
    }
    for _ in range(10):  # a cache that does not answer in time, on a busy machine, is asked again
        done = await asyncio.to_thread(CliRunner().invoke, app, ["cache", *arguments], env=environment)
        if done.exit_code != CANNOT_REACH:
            break
    assert done.exit_code == 0, (arguments, done.output)
    return done.stdout


async def denied(valkey: Valkey) -> list[Any]:
    """What the server has refused since the last look: who, what, on which key."""
    async with Redis.from_url(valkey.url) as server:
        found = [(entry["reason"], entry["object"], entry["client-info"]) for entry in await server.acl_log()]
        await server.acl_log_reset()
        return found


async def test_cito_does_all_that_it_does_within_the_rules(
    site: Site, valkey: Valkey, limited_url: str
) -> None:
    headers = site.headers("pharmacist")
    body = {"name": "Aspirin 81mg", "genericName": "aspirin", "dosageForm": "tablet"}
    made = await site.client.post("/api/medications", json=body, headers=headers)
    assert made.status_code == 201
    url = f"/api/medications/{made.json()['id']}"
    outcomes = set()
    async with asyncio.timeout(60):
        while not outcomes & {"local", "shared"}:  # the cache is used, not only passed by
            answer = await site.client.get(url, headers=site.headers("pharmacist", **{"X-Request-Id": "a"}))
            if answer.status_code == 200:
                outcomes.add(answer.headers["server-timing"].partition('"')[2].partition('"')[0])
            await asyncio.sleep(0.02)
    statuses = [(await site.client.get(url, headers=headers)).status_code for _ in range(4 * RATE)]
    assert 429 in statuses, "rates are counted in the shared cache"
    assert await denied(valkey) == []
    for command in (
        ["stats"],
        ["consistency"],
        ["warm"],
        ["bump", "medication"],
        ["invalidate", "formulary"],
    ):
        await cito(site, limited_url, *command)
        assert await denied(valkey) == [], command


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "another"),
        ("SET", "another", "x"),
        ("DEL", "another"),
        ("EVAL", "return redis.call('get', KEYS[1])", "1", "another"),
        ("EVAL", "return redis.call('flushall')", "0"),
        ("SUBSCRIBE", "news"),
        ("PUBLISH", "news", "x"),
        ("SSUBSCRIBE", "news"),
        ("SPUBLISH", "news", "x"),
        ("PUBSUB", "CHANNELS"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("SHUTDOWN",),
        ("MIGRATE", "127.0.0.1", "1", "cito", "0", "1"),
        ("DEBUG", "SLEEP", "0"),
    ],
    ids=" ".join,
)
async def test_nothing_else_is_allowed(site: Site, limited_url: str, command: tuple[str, ...]) -> None:
    async with Redis.from_url(limited_url) as client:
        with pytest.raises(Exception, match=r"(?i)permission|NOPERM|not allowed|ACL"):
            await client.execute_command(*command)
