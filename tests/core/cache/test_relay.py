"""One relay's steps on the real outbox and the real shared tier, time in hand: what moves the heartbeat, and what may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from shelf import Shelf

from cito.core.cache.keys import Names
from cito.core.cache.relay import BEAT_SECONDS, Relay
from cito.core.cache.shared import SharedAway, SharedTier
from cito.core.database.outbox import Outbox


@dataclass
class Leader:
    relay: Relay
    tier: SharedTier
    now: float = 0.0


@asynccontextmanager
async def leader(shelf: Shelf, *, full: int = 1000) -> AsyncIterator[Leader]:
    names = Names(bytes(32), str(shelf.clinic))
    outbox, tier = await Outbox.open(shelf.urls.app), SharedTier(shelf.urls.cache, names, 5)
    try:
        assert await outbox.lead()
        relay = Relay(outbox, tier, names, full=full, finished=lambda _: None, monotonic=lambda: made.now)
        made = Leader(relay, tier)
        await relay.begin()
        yield made
    finally:
        await tier.close()
        await outbox.close()


async def test_an_idle_relay_beats_now_and_then_and_not_with_each_poll(bare_shelf: Shelf) -> None:
    async with leader(bare_shelf) as led:
        for _ in range(5):
            await led.relay.step()
        assert led.relay.counts.beats == 1
        led.now += BEAT_SECONDS
        await led.relay.step()
        assert led.relay.counts.beats == 2


@pytest.mark.parametrize(
    "lost",
    [
        "update cito.relay set counter = counter + 1",  # the shared tier lost the last stamps
        "update cito.relay set epoch = sha256(epoch)",  # it is another one
        "update cito.relay set timeline = timeline + 1",  # the database lost commits
    ],
)
async def test_a_heartbeat_that_cannot_have_the_last_stamps_begins_an_epoch(
    bare_shelf: Shelf, lost: str
) -> None:
    bare_shelf.psql("update items set name = 'noted'")
    async with leader(bare_shelf) as led:
        await led.relay.step()
    async with leader(bare_shelf) as led:
        assert led.relay.counts.epochs == 0
    bare_shelf.psql(lost)
    async with leader(bare_shelf) as led:
        assert led.relay.counts.epochs == 1


async def test_a_full_batch_moves_no_heartbeat_and_only_the_next_beat_vouches(bare_shelf: Shelf) -> None:
    bare_shelf.psql("update items set name = 'noted'")  # two notes
    async with leader(bare_shelf, full=2) as led:
        before = await led.tier.heartbeat()
        assert await led.relay.step()
        assert (led.relay.counts.beats, await led.tier.heartbeat()) == (0, before)
    async with leader(bare_shelf) as led:  # the one before ended before its beat
        assert led.relay.counts.epochs == 1


async def test_notes_whose_bump_failed_are_taken_again(
    bare_shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise SharedAway

    bare_shelf.psql("update items set name = 'noted'")
    async with leader(bare_shelf) as led:
        with monkeypatch.context() as patch:
            patch.setattr(led.tier, "beat", away)
            with pytest.raises(SharedAway):
                await led.relay.step()
        await led.relay.step()
        assert led.relay.counts.tags == 2


async def test_a_heartbeat_moved_by_somebody_else_is_followed_or_begun_anew(bare_shelf: Shelf) -> None:
    async with leader(bare_shelf) as led:
        found = await led.tier.heartbeat()
        await led.tier.beat(
            found, found[:16] + b"7", ()
        )  # another relay, which has not noticed that it is over
        bare_shelf.psql("update items set name = 'noted'")
        await led.relay.step()
        assert (led.relay.counts.epochs, led.relay.counts.beats) == (1, 0)
        assert bare_shelf.psql("select counter from cito.relay") == [
            (8,)
        ]  # the next one vouches for the notes
        await led.relay.step()
        assert (await led.tier.heartbeat())[16:] == b"8"
        found = await led.tier.heartbeat()
        await led.tier.beat(found, found[:16] + b"3", ())  # it lost writes
        led.now += BEAT_SECONDS
        await led.relay.step()
        assert led.relay.counts.epochs == 2
