"""Validators, 304, content coding, and answers that time changes: the same in every process."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zstandard
from shelf import Item, ItemKey, Shelf

from cito.core.cache.engine import Entry
from cito.core.clock import Clock
from cito.core.errors import NotFound, Unavailable
from cito.core.http.etag import answer, raw_answer


class Moved(Clock):
    """A clock whose midnight a test chooses."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.ahead = 0.0

    def move(self, seconds: float) -> None:
        self.ahead += seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Asked:
    """As much of a request as `answer` looks at."""

    def __init__(self, method: str = "GET", **headers: str) -> None:
        self.method = method
        self.scope = {"headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}


async def status_of(entry: Entry[Any], **headers: str) -> int:
    response: Any = await answer(Asked(**headers), entry)  # type: ignore[arg-type]
    status: int = response.ready[0]
    return status


async def test_a_validator_is_the_same_in_every_process_and_changes_with_the_row(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        first, second = await one.get(), await two.get()
        assert first.etag == second.etag
        assert first.etag.startswith('"1.')
        assert await status_of(second, if_none_match=first.etag) == 304
        assert await status_of(second, if_none_match=f'"x", W/{first.etag}') == 304
        assert await status_of(second, if_none_match="*") == 304
        assert await status_of(second, if_none_match='"1.other"') == 200
        await one.rename("new")
        changed = await one.get()
        assert changed.etag.startswith('"2.')
        assert await status_of(changed, if_none_match=first.etag) == 200


async def test_a_304_has_no_body_and_the_headers_of_the_200(shelf: Shelf) -> None:
    async with shelf.process() as one:
        entry = await one.get()
        status, headers, body = raw_answer(entry, None, b"")
        told = dict(headers)
        assert (status, body, told[b"content-length"]) == (200, entry.body, b"%d" % len(entry.body))
        status, headers, body = raw_answer(entry, entry.etag.encode(), b"")
        assert (status, body) == (304, b"")
        kept = dict(headers)
        for name in (b"etag", b"cache-control", b"vary"):
            assert kept[name] == told[name]
        assert kept[b"cache-control"] == b"private, no-cache"
        assert b"content-length" not in kept
        assert int(kept[b"age"]) >= 0


async def test_a_write_is_never_answered_by_304(shelf: Shelf) -> None:
    async with shelf.process() as one:
        entry = await one.get()
        response: Any = await answer(Asked("PATCH", if_none_match=entry.etag), entry)  # type: ignore[arg-type]
        assert response.ready[0] == 200


async def test_content_coding_is_made_once_and_has_a_validator_of_its_own(shelf: Shelf) -> None:
    shelf.psql("update items set name = %s", "long " * 500)
    async with shelf.process() as one:
        await one.warm()
        entry = await one.get()
        held = one.cache.local.bytes
        for accept, coding, decode in (
            (b"gzip, deflate", b"gzip", gzip.decompress),
            (b"br, zstd;q=0.9, gzip", b"zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
            (b"zstd;q=0, gzip;q=0.5", b"gzip", gzip.decompress),
        ):
            _, headers, body = raw_answer(entry, None, accept)
            told = dict(headers)
            assert told[b"content-encoding"] == coding
            assert decode(body) == entry.body
            assert told[b"etag"] != entry.etag.encode()
            assert raw_answer(entry, None, accept)[2] is body
            assert raw_answer(entry, told[b"etag"], accept)[0] == 304
        assert one.cache.local.bytes > held
        plain = dict(raw_answer(entry, None, b"identity, gzip;q=0")[1])
        assert b"content-encoding" not in plain
        assert plain[b"vary"] == b"Accept-Encoding, Authorization"


async def test_what_is_absent_is_not_found(shelf: Shelf) -> None:
    async with shelf.process() as one:
        with pytest.raises(NotFound):
            await answer(Asked(), await one.get(99))  # type: ignore[arg-type]


async def test_without_the_value_a_304_is_decided_from_stamps_alone(shelf: Shelf) -> None:
    """One round trip, no load, however many ask; a crowd whose copy is old makes one load."""
    brief = {"ttl_seconds": 0.15, "max_staleness_seconds": 30}
    async with shelf.process(item=brief) as one:
        known = (await one.get()).etag
        async with shelf.process(item=brief) as two:
            await asyncio.sleep(0.2)  # the value expires, its stamps live on
            tier: Any = two.cache._resolver.shared
            trips = tier.counts.trips

            def ask(**headers: str) -> Any:
                return answer(Asked(**headers), two.cache.get(two.item, ItemKey(1), shelf.clinic))  # type: ignore[arg-type]

            again = await asyncio.gather(*(ask(if_none_match=f'W/"x", {known}') for _ in range(50)))
            assert {each.ready[0] for each in again} == {304}
            assert dict(again[0].ready[1])[b"etag"] == known.encode()
            assert (tier.counts.trips - trips, two.loader.loads) == (1, 0)
            await two.rename("new")
            changed = await asyncio.gather(*(ask(if_none_match=known) for _ in range(50)), ask())
            assert {each.ready[0] for each in changed} == {200}
            assert b"new" in changed[0].ready[2]
            assert two.loader.loads == 1


async def test_a_family_says_how_its_answers_may_be_kept(shelf: Shelf) -> None:
    async with shelf.process(item={"cache_control": "private, max-age=5"}) as one:
        assert dict(raw_answer(await one.get(), None, b"")[1])[b"cache-control"] == b"private, max-age=5"


async def test_a_bypassed_answer_has_a_validator_too(bare_shelf: Shelf) -> None:
    async with bare_shelf.process(wait=False) as one:
        first, second = await one.get(), await one.get()
        assert first.outcome == second.outcome == "bypass"
        assert first.etag == second.etag != ""


async def test_an_answer_that_changes_at_midnight(shelf: Shelf) -> None:
    """`valid_until` in both tiers, the validator and the 304; time moves, nobody writes."""
    midnight = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    clock = Moved(midnight - timedelta(seconds=40))

    def until(_key: Any, _value: Item) -> datetime:
        return midnight if clock.now() < midnight else midnight + timedelta(days=1)

    family = {"valid_until": until, "ttl_seconds": 300}
    async with shelf.process(item=family, clock=clock) as one, shelf.process(item=family, clock=clock) as two:
        first = await one.get()
        await one.warm()
        assert (await two.get()).outcome == "shared"
        assert await status_of(await one.get(), if_none_match=first.etag) == 304
        known: Any = await two.cache.get(two.item, ItemKey(1), shelf.clinic).unless(first.etag)
        assert not known.absent
        loads = one.loader.loads + two.loader.loads
        clock.move(45)
        await one.ready_at(clock)
        await two.ready_at(clock)
        after = await two.get()
        assert after.etag != first.etag
        assert await status_of(after, if_none_match=first.etag) == 200
        assert (await one.get()).etag == after.etag
        assert one.loader.loads + two.loader.loads == loads + 1
        stale_copy: Any = await two.cache.get(two.item, ItemKey(1), shelf.clinic).unless(first.etag)
        assert not stale_copy.not_modified
        assert after.expires_at - after.loaded_at <= 300  # a day is no reason to outlive the family


async def test_what_midnight_has_ended_is_not_served_stale_either(shelf: Shelf) -> None:
    async def away() -> None:
        raise Unavailable("the database is away")

    midnight = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    clock = Moved(midnight - timedelta(seconds=40))
    family = {"valid_until": lambda *_: midnight, "ttl_seconds": 300, "serve_stale_seconds": 300}
    async with shelf.process(item=family, clock=clock) as one:
        await one.warm()
        one.loader.before = away
        clock.move(45)
        with pytest.raises(Unavailable):
            await one.get()
