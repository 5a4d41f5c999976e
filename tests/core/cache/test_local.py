"""The local tier: bounded, found by tag, hot entries stay."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.families import Plan
from cito.core.cache.keys import Names
from cito.core.cache.local import OVERHEAD, LocalTier
from cito.core.declarations import CacheFamily

CLINIC = UUID(int=1)


class Key(msgspec.Struct, frozen=True):
    id: int


async def load(_on: Any, _key: Any) -> Any: ...


def tier(capacity: int, **changes: Any) -> tuple[LocalTier, Plan]:
    local = LocalTier(capacity)
    family: CacheFamily[Any, Any] = CacheFamily(
        name="f",
        version=1,
        key=Key,
        value=dict,
        load=load,
        tags=("f:{id}",),
        ttl_seconds=1,
        hard_limit_seconds=10,
        **changes,
    )
    return local, Plan(family, Names(b"s" * 32, "test"), local, lambda: 0.0)


def put(local: LocalTier, plan: Plan, number: int, size: int = 100) -> Entry[Any]:
    key = Key(number)
    entry: Entry[Any] = Entry(plan, key, CLINIC, plan.tag_keys(key, CLINIC))
    entry.body = b"x" * size
    local.watch(entry)
    local.keep(entry)
    return entry


def held(plan: Plan) -> set[int]:
    return {entry.key.id for entry in plan.entries.values()}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "hit", "end", "drop", "code"]), st.integers(0, 30), st.integers(0, 3000)
        )
    )
)
def test_bytes_tags_and_entries_always_agree(steps: list[tuple[str, int, int]]) -> None:
    local, plan = tier(20 * OVERHEAD)
    for what, number, size in steps:
        entry = plan.entries.get((CLINIC, Key(number)))
        if what == "put":
            put(local, plan, number, size)
        elif what == "hit" and entry is not None:
            entry.frequency += 1
        elif what == "end":
            local.invalidate(plan.tag_keys(Key(number), CLINIC)[:1])
        elif what == "drop" and entry is not None:
            local.drop(entry)
        elif what == "code" and entry is not None:
            local.grew(entry, size)
            put(local, plan, number + 1)  # room is made when the next one comes
        entries = list(plan.entries.values())
        assert local.bytes == sum(e.size for e in entries) <= local.capacity
        assert local._small_bytes == sum(e.size for e in local._small)
        assert len(local) == len(entries)
        assert {e for watched in local.by_tag.values() for e in watched} == set(entries)
        assert all(e.queue is not None for e in entries)


def test_an_invalidation_ends_kept_entries_and_those_being_filled() -> None:
    local, plan = tier(100_000)
    kept = put(local, plan, 1)
    other = put(local, plan, 2)
    filling: Entry[Any] = Entry(plan, Key(1), CLINIC, kept.tags)
    local.watch(filling)
    assert local.invalidate(kept.tags[:1]) == [kept]
    assert kept.check_at == filling.check_at == DEAD
    assert other.check_at > 0
    assert held(plan) == {2}
    local.invalidate(plan.coarse)
    assert held(plan) == set()
    assert local.bytes == 0
    assert not local.by_tag


def test_a_family_that_may_serve_stale_keeps_its_last_known_value() -> None:
    local, plan = tier(100_000, serve_stale_seconds=5)
    kept = put(local, plan, 1)
    local.invalidate(kept.tags)
    assert kept.check_at == DEAD
    assert held(plan) == {1}
    put(local, plan, 1, size=7)
    assert len(local) == 1


def test_hot_entries_survive_a_scan() -> None:
    local, plan = tier(100 * (OVERHEAD + 100))
    for number in range(50):
        put(local, plan, number).frequency = 2
    for number in range(1000, 3000):
        put(local, plan, number)
    assert set(range(50)) <= held(plan)


@pytest.mark.parametrize(("skew", "gain"), [(1.0, 1.1), (0.8, 1.3)])
def test_hit_rate_on_a_skewed_trace_beats_least_recently_used(
    skew: float, gain: float, figure: Callable[[str], None]
) -> None:
    """Room for 1 % of the keys."""
    rng = random.Random(7)
    keys, reads, room = 20_000, 60_000, 200
    weights = [1 / (rank + 1) ** skew for rank in range(keys)]
    local, plan = tier(room * (OVERHEAD + 100))
    recent: OrderedDict[int, None] = OrderedDict()
    hits = recent_hits = 0
    for number in rng.choices(range(keys), weights, k=reads):
        entry = plan.entries.get((CLINIC, Key(number)))
        if entry is None:
            put(local, plan, number)
        else:
            hits += 1
            entry.frequency = min(3, entry.frequency + 1)
        recent_hits += number in recent
        recent[number] = None
        recent.move_to_end(number)
        if len(recent) > room:
            recent.popitem(last=False)
    figure(
        f"Zipf({skew}), room for 1 %: S3-FIFO {hits / reads:.3f}, LRU {recent_hits / reads:.3f} of reads hit"
    )
    assert hits > gain * recent_hits
