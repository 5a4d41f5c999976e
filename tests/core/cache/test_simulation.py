"""Seeded schedules through the cache's own code, and each defence removed in turn: then the judge must object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from simulated import Faults
from simulation import run

from cito.core.cache import board, bumps, engine, fill, flights, loads, pulse, relay, resolve, words
from cito.core.cache.feed import Feed
from cito.core.cache.local import LocalTier

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("seeds", "steps", "each"),
    [
        pytest.param(range(40), 40, 10, id="40"),
        pytest.param(range(40, 5000), 40, 10, id="5000", marks=[pytest.mark.full, pytest.mark.timeout(900)]),
        pytest.param(
            range(2000), 4, 0.1, id="2000 short", marks=[pytest.mark.full, pytest.mark.timeout(300)]
        ),
    ],
)
def test_no_schedule_gives_a_read_older_than_allowed(seeds: range, steps: int, each: float) -> None:
    """And each outcome is seen so often a seed; without faults, next to every write is known on the other node."""
    outcomes: dict[str, int] = {}
    writes: dict[str, int] = {}
    for seed in seeds:
        world = run(seed, steps)
        assert not world.judge.violations, f"seed {seed}, {world.faults}: {world.judge.violations[:3]}"
        for outcome, count in world.judge.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        if world.faults == Faults():
            for code, count in world.codes.items():
                writes[code] = writes.get(code, 0) + count
    assert writes.get("unconfirmed", 0) < 0.01 * writes[""]
    assert min(outcomes[name] for name in ("local", "shared", "miss", "bypass")) > each * len(seeds)


def test_a_seed_replays() -> None:
    first, second = run(3), run(3)
    assert (first.judge.reads, first.loop.now, first.database.versions) == (
        second.judge.reads,
        second.loop.now,
        second.database.versions,
    )


def heartbeat_vouches_after_one_step(patch: Patch) -> None:
    patch.setattr(pulse, "_STEPS", 1)


def heartbeat_counts_before_it_is_confirmed(patch: Patch) -> None:
    real = Feed._ask

    async def ask(self: Feed, connection: Any, *command: Any) -> Any:
        return b"PONG" if command == ("PING",) else await real(self, connection, *command)

    patch.setattr(Feed, "_ask", ask)


def staleness_is_hoped_for(patch: Patch) -> None:
    real = engine.Cache.vouched

    def vouched(self: engine.Cache, as_of: float) -> None:
        real(self, self._monotonic() if self._resolver.pulse.epoch else as_of)

    patch.setattr(engine.Cache, "vouched", vouched)


def a_cut_feed_flushes_nothing(patch: Patch) -> None:
    patch.setattr(engine.Cache, "flushed", lambda _self: None)


def a_feed_that_is_back_keeps_what_was_filled_meanwhile(patch: Patch) -> None:
    real = Feed._ask

    async def ask(self: Feed, connection: Any, *command: Any) -> Any:
        answer = await real(self, connection, *command)
        if "TRACKING" in command:
            flushed, self._flushed = self._flushed, lambda: None
            asyncio.get_running_loop().call_soon(setattr, self, "_flushed", flushed)
        return answer

    patch.setattr(Feed, "_ask", ask)


def a_lost_heartbeat_is_taken_up(patch: Patch) -> None:
    async def adopt(self: relay.Relay) -> None:
        if not self._known:
            self._known = relay._heartbeat(b"e" * 16, 1)
            await self._stamps.beat(b"", self._known, ())

    patch.setattr(relay.Relay, "_new_epoch", adopt)


def a_failed_bump_is_forgotten(patch: Patch) -> None:
    patch.setattr(bumps.Bumps, "in_doubt", lambda *_: False)


def no_witness_is_asked_for(patch: Patch) -> None:
    patch.setattr(bumps.Bumps, "confirm", lambda *_: None)


def a_neighbours_witness_is_not_asked_for(patch: Patch) -> None:
    real = resolve.Resolver.told
    patch.setattr(
        resolve.Resolver, "told", lambda self, notes: real(self, [note for note in notes if not note.number])
    )


def a_neighbours_failed_bump_is_not_heard_of(patch: Patch) -> None:
    real = resolve.Resolver.told
    patch.setattr(
        resolve.Resolver, "told", lambda self, notes: real(self, [note for note in notes if note.number])
    )


def nobody_looks_at_the_board(patch: Patch) -> None:
    patch.setattr(board.Board, "look", lambda _self: None)


def nobody_waits_for_the_word(patch: Patch) -> None:
    async def confirmed(self: words.Words, number: int, _nodes: Any) -> bool:
        self.unsaid(number)
        return True

    patch.setattr(words.Words, "confirmed", confirmed)


def a_word_is_not_put_on_the_board(patch: Patch) -> None:
    def told(self: engine.Cache, notes: Any) -> None:
        self._ended([note.tag for note in notes])

    patch.setattr(engine.Cache, "told", told)


def a_node_listens_later_than_it_believes(patch: Patch) -> None:
    real = Feed._ask

    async def ask(self: Feed, connection: Any, *command: Any) -> Any:
        if command[0] != "SSUBSCRIBE":
            return await real(self, connection, *command)
        loop = asyncio.get_running_loop()
        loop.call_later(5, lambda: connection._open and loop.create_task(real(self, connection, *command)))
        return command[1]

    patch.setattr(Feed, "_ask", ask)


def any_copy_is_current(patch: Patch) -> None:
    def unchanged(_self: fill.Filler, flight: flights.Flight, _vector: bytes) -> bool:
        flight.slot.not_modified = bool(flight.copies)
        return flight.slot.not_modified

    patch.setattr(fill.Filler, "unchanged", unchanged)


def the_slot_is_watched_after_the_read(patch: Patch) -> None:
    real = LocalTier.keep
    patch.setattr(LocalTier, "watch", lambda *_: None)

    def keep(self: LocalTier, entry: Any) -> None:
        for tag in entry.tags:
            self.by_tag.setdefault(tag, set()).add(entry)
        real(self, entry)

    patch.setattr(LocalTier, "keep", keep)


def anybody_joins_any_flight(patch: Patch) -> None:
    patch.setattr(flights.Flight, "alive", property(lambda _self: True))


def anybody_joins_a_load_without_stamps(patch: Patch) -> None:
    real = loads.Loads.start_unstamped
    running: dict[tuple[int, bytes], loads.Load] = {}

    def start(self: loads.Loads, waiting: Any, asked_at: float) -> None:
        for flight in waiting:
            if flight.value_key in self._reading and (id(self), flight.value_key) in running:
                running[id(self), flight.value_key].flights.append(flight)
            else:
                real(self, [flight], asked_at)

    def made(self: loads.Loads, group: list[loads.Load]) -> None:
        for load in group:
            if not load.vector:
                running[id(self), load.flight.value_key] = load
        spawn(self, group)

    spawn = loads.Loads._spawn
    patch.setattr(loads.Loads, "_spawn", made)
    patch.setattr(loads.Loads, "start_unstamped", start)


def the_writer_does_not_bump(patch: Patch) -> None:
    async def committed(_self: engine.Cache, _tags: Any) -> None: ...

    patch.setattr(engine.Cache, "committed", committed)


def the_relay_forgets_the_notes(patch: Patch) -> None:
    real = relay.Relay._apply

    async def apply(self: relay.Relay, _tags: Any, now: float) -> Any:
        return await real(self, [], now)

    patch.setattr(relay.Relay, "_apply", apply)


def a_load_by_other_stamps_is_joined(patch: Patch) -> None:
    def joins(self: loads.Loads, flight: Any, _vector: bytes) -> bool:
        for (key, _), load in self._under_way.items():
            if key == flight.value_key:
                load.flights.append(flight)
                return True
        return False

    patch.setattr(loads.Loads, "joins", joins)


def an_invalidation_leaves_what_is_being_filled(patch: Patch) -> None:
    real = LocalTier.invalidate

    def invalidate(self: LocalTier, tags: Any) -> list[Any]:
        tags = list(tags)
        filling = [e for tag in tags for e in self.by_tag.get(tag, ()) if e.queue is None]
        before = [(e, e.check_at) for e in filling]
        ended = real(self, tags)
        for entry, check_at in before:
            entry.check_at = check_at
            self.watch(entry)
        return ended

    patch.setattr(LocalTier, "invalidate", invalidate)


REMOVALS: list[tuple[Callable[[Patch], None], Faults]] = [
    (heartbeat_vouches_after_one_step, Faults(crash=1, relay_stops=0.3)),
    (heartbeat_counts_before_it_is_confirmed, Faults(crash=1, turn=0.1)),
    (staleness_is_hoped_for, Faults(relay_dies=True, crash=1)),
    (a_cut_feed_flushes_nothing, Faults(cuts=0.1)),
    (a_feed_that_is_back_keeps_what_was_filled_meanwhile, Faults(cuts=0.3)),
    (a_lost_heartbeat_is_taken_up, Faults(failover=0.02)),
    (a_failed_bump_is_forgotten, Faults(lost=0.1)),
    (no_witness_is_asked_for, Faults(failover=0.3)),
    (a_neighbours_witness_is_not_asked_for, Faults(failover=0.3)),
    (a_neighbours_failed_bump_is_not_heard_of, Faults(lost=0.1)),
    (nobody_looks_at_the_board, Faults()),
    (nobody_waits_for_the_word, Faults()),
    (a_word_is_not_put_on_the_board, Faults()),
    (a_node_listens_later_than_it_believes, Faults(deaf=0.3)),
    (any_copy_is_current, Faults()),
    (the_slot_is_watched_after_the_read, Faults(slow=0.05)),
    (anybody_joins_any_flight, Faults(slow=0.05)),
    (anybody_joins_a_load_without_stamps, Faults(lost=0.7, slow=0.05)),
    (the_writer_does_not_bump, Faults()),
    (the_relay_forgets_the_notes, Faults(crash=1)),
    (a_load_by_other_stamps_is_joined, Faults()),
    (an_invalidation_leaves_what_is_being_filled, Faults(slow=0.05)),
]


@pytest.mark.parametrize(("remove", "faults"), REMOVALS, ids=[remove.__name__ for remove, _ in REMOVALS])
def test_without_this_defence_a_schedule_is_found_that_breaks(
    remove: Callable[[Patch], None], faults: Faults, monkeypatch: Patch
) -> None:
    assert not run(1, faults=faults).judge.violations
    remove(monkeypatch)
    assert any(run(seed, faults=faults).judge.violations for seed in range(150))
