"""Reports, sampling, warming, the ACL, and the commands of operators."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from shelf import ItemKey, Shelf, tag, until
from support import OpenSite
from typer.testing import CliRunner

from cito.core.cache import operate
from cito.core.cache.keys import KeyRefused
from cito.core.cache.report import agreements, encode, hit_rate, nines, report_of, summed
from cito.core.cache.sampler import Sampler
from cito.core.cache.shared import SharedTier
from cito.core.cli import app
from cito.core.commands.cache import busy
from cito.core.telemetry import Record, What, current_record


async def test_processes_report_what_they_do(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        await two.get()
        tier = SharedTier(shelf.urls.cache, one.cache.names, 2)
        for process in (one, two):
            own = process.cache._resolver.shared
            assert isinstance(own, SharedTier)
            await own.keep(own.report_name, encode(report_of(process.cache)), 10_000)

        async def relayed() -> bool:
            return (await operate.reports(tier, one.cache.names))[1] is not None

        await until(relayed)
        reports, relay = await operate.reports(tier, one.cache.names)
        await tier.close()
        assert relay is not None
        assert relay.beats > 0
        assert relay.waiting == 0
        assert len(reports) == 2
        counts = summed(reports)["item"]
        assert (counts.miss, counts.local) == (1, 1)
        assert counts.shared >= 1
        assert 0.5 < hit_rate(counts) < 1
        assert all(report.connected and report.told_seconds_ago < 1 for report in reports)


async def test_the_sampler_counts_agreement_and_follows_disagreement_up(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    async with shelf.process() as one:
        await one.warm()
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await one.ready()

        sampler = one.cache.sampler = Sampler(one.database, one.cache._stamps, sleep)
        entry = one.cache.plans["item"].entries[shelf.clinic, ItemKey(1)]
        sampler.offer(entry, 0.0)
        await asyncio.gather(*sampler._tasks)
        assert (sampler.found["item"].samples, sampler.found["item"].differed) == (1, 0)
        # A write that nobody hears of: triggers off, as a superuser could.
        shelf.psql("alter table items disable trigger user")
        shelf.psql("update items set name = 'unheard'")
        shelf.psql("alter table items enable always trigger cito_stale_update")
        sampler.offer(entry, 0.0)
        await asyncio.gather(*sampler._tasks)
        found = sampler.found["item"]
        assert (found.samples, found.differed, found.after) == (2, 1, {1: 1, 10: 1, 60: 1})
        assert waits == [1, 9, 50]
        assert nines(found, 60) == 0.5
        assert "disagrees with the database after 60 s" in caplog.text
        assert "unheard" not in caplog.text
        assert str(shelf.clinic) not in caplog.text
        assert agreements([report_of(one.cache)] * 2)["item"].samples == 4


async def test_hits_are_sampled_by_themselves_and_not_in_the_request_s_record(shelf: Shelf) -> None:
    async with shelf.process(sampled=True) as one:
        await one.warm()
        record = Record("http")
        token = current_record.set(record)
        one.cache.plans["item"].sample_at = 0.0
        samples = one.cache.plans["item"].sample_at
        await one.get()
        current_record.reset(token)
        assert one.cache.plans["item"].sample_at > samples
        await asyncio.gather(*one.cache.sampler._tasks)
        assert {event.what for event in record.events} == {What.CACHE}
        await one.warm()

        async def sampled() -> bool:
            await one.get()
            return "item" in one.cache.sampler.found

        await until(sampled)
        assert one.cache.sampler.found["item"].differed == 0


async def test_warming_loads_what_is_declared_in_few_queries(shelf: Shelf) -> None:
    shelf.psql(
        "insert into items (clinic_id, id, name) select %s::uuid, g, 'n' from generate_series(2, 150) g",
        shelf.clinic,
    )

    async def keys(_on: Any) -> Sequence[ItemKey]:
        return [ItemKey(number) for number in range(1, 151)]

    told: list[tuple[str, int, int]] = []
    async with shelf.process(item={"warm": keys}) as one:
        warmed = await operate.warm(one.cache, one.database, [shelf.clinic], lambda *step: told.append(step))
        assert warmed == {"item": 150}
        assert told == [("item", 100, 150), ("item", 150, 150)]
        assert one.loader.batches == [100, 50]
        async with shelf.process() as two:
            await asyncio.sleep(0.05)
            assert (await two.get(77)).outcome == "shared"


async def test_by_hand_only_what_is_declared(shelf: Shelf) -> None:
    async with shelf.process() as one:
        await one.warm()
        await one.cache.invalidate(tag(shelf, 1))
        assert (await one.get()).outcome == "miss"
        await one.warm()
        await one.cache.bump("item")
        assert (await one.get()).outcome == "miss"
        with pytest.raises(KeyRefused, match=re.escape("known are: item:{}:{}, items:{}")):
            await one.cache.invalidate("patients:7")
        with pytest.raises(KeyRefused, match="cache family nothing: not declared"):
            await one.cache.bump("nothing")
        with pytest.raises(KeyRefused, match="not declared"):
            await one.cache.get(_like(one.item), ItemKey(1), shelf.clinic)
        with pytest.raises(KeyRefused, match="key is a int"):
            await one.cache.get(one.item, 7, shelf.clinic)  # type: ignore[type-var]


def _like(family: Any) -> Any:
    return replace(family, ttl_seconds=1)


async def test_the_acl_allows_all_that_is_needed_and_nothing_else(shelf: Shelf) -> None:
    async with Redis.from_url(shelf.urls.cache) as server, shelf.process() as one:
        rules = operate.acl_rules(one.cache.names)
        await server.execute_command("ACL", "SETUSER", "cito", *rules.split(), ">secret")
        url = f"{shelf.urls.cache}?username=cito&password=secret"
        try:
            limited = Shelf(_with_cache(shelf.urls, url), shelf.home, shelf.clinic)
            async with limited.relay(), limited.process() as two:
                await two.warm()
                await two.rename("within the rules")
                assert await two.name() == "within the rules"
                assert (await two.get()).outcome in ("local", "shared", "miss")
            async with Redis.from_url(url) as client:
                for command in (("GET", "another"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*")):
                    with pytest.raises(NoPermissionError):
                        await client.execute_command(*command)
        finally:
            await server.execute_command("ACL", "DELUSER", "cito")


def _with_cache(urls: Any, cache: str) -> Any:
    return replace(urls, cache=cache)


def test_what_never_happened_takes_no_column() -> None:
    rows = [
        {"family": "a", "loads": 0, "stale": 0, "feed": False, "newsSeconds": None},
        {"family": "b", "loads": 3, "stale": 0, "feed": False, "newsSeconds": None},
    ]
    assert busy(rows) == [
        {"family": name, "loads": loads, "feed": False} for name, loads in (("a", 0), ("b", 3))
    ]


async def test_the_commands(open_site: OpenSite, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site(plugins=("medications",)) as site:
        home = site.assembly.settings.home
        for name, value in (
            ("CITO_HOME", str(home)),
            ("CITO_PLUGINS", "medications"),
            ("CITO_DATABASE__URL", site.urls.app),
            ("CITO_CACHE__URL", site.urls.cache),
            ("CITO_DATABASE__OWNER_URL", site.urls.owner),
        ):
            monkeypatch.setenv(name, value)

        async def cito(*arguments: str) -> Any:
            return await asyncio.to_thread(CliRunner().invoke, app, ["cache", *arguments])

        stats = await cito("stats", "--json")
        assert stats.exit_code == 0, stats.output
        assert set(json.loads(stats.stdout)) == {"families", "processes", "relay"}
        families = json.loads((await cito("families", "--json")).stdout)
        assert "medication" in {row["family"] for row in families}
        tags = {row["tag"]: row for row in json.loads((await cito("tags", "--json")).stdout)}
        assert tags["medication:{}"]["tables"] == ["medications"]
        assert (await cito("bump", "medication")).exit_code == 0
        assert (await cito("invalidate", "formulary")).exit_code == 0
        refused = await cito("invalidate", "nothing:7")
        assert refused.exit_code == 2
        assert (await cito("consistency", "--json")).exit_code == 0
        assert "~cito{" in (await cito("acl")).stdout
        warmed = json.loads((await cito("warm", "--json")).stdout)
        assert {row["family"] for row in warmed} >= {"formulary_page"}
        assert (await cito("key", "--rotate")).exit_code == 0
        written = b"".join(path.read_bytes() for path in (home / "audit").iterdir() if path.is_file())
        assert b'"invalidate","success","cache","formulary"' in written
