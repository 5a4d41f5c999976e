"""What each process tells of its cache: kept in the shared tier for some seconds, summed up by `cito cache stats`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from cito.core.cache.families import Counts
from cito.core.cache.sampler import HORIZONS_SECONDS, Agreement
from cito.core.cache.shared import SharedCounts
from cito.core.cache.words import WordCounts

if TYPE_CHECKING:
    from cito.core.cache.engine import Cache

EVERY_SECONDS = 2.0
LIFE_MS = 10_000


class Report(msgspec.Struct, kw_only=True):
    """One process.

    Attributes:
        pid: of the process.
        families: what it has done, by family.
        agreement: what its sampler has found, by family.
        shared: its round trips.
        words: its commits that other nodes were told of.
        entries, local_bytes, evictions: of the local tier.
        connected: whether the feed of pushes is.
        told_seconds_ago: age of the news: everything committed before has been told; None: unknown.
        pushes, cuts: of the feed.
    """

    pid: int
    families: dict[str, Counts]
    agreement: dict[str, Agreement]
    shared: SharedCounts | None = None
    words: WordCounts | None = None
    entries: int = 0
    local_bytes: int = 0
    evictions: int = 0
    connected: bool = False
    told_seconds_ago: float | None = None
    pushes: int = 0
    cuts: int = 0


class RelayReport(msgspec.Struct, kw_only=True):
    """The leading relay: notes taken, beats, epochs; how many notes wait, and how long the oldest of them has."""

    pid: int
    steps: int
    tags: int
    beats: int
    epochs: int
    waiting: int
    oldest_seconds: float


def report_of(cache: Cache) -> Report:
    """Return the report of this process."""
    feed, shared = cache.feed, cache.shared_counts
    told = time.monotonic() - cache.as_of
    return Report(
        pid=os.getpid(),
        families={plan.name: plan.counts for plan in cache.plans.values()},
        agreement=cache.sampler.found,
        shared=shared,
        words=None if cache.words is None else cache.words.counts,
        entries=len(cache.local),
        local_bytes=cache.local.bytes,
        evictions=cache.local.evictions,
        connected=feed is not None and feed.connected,
        told_seconds_ago=told if told != float("inf") else None,
        pushes=0 if feed is None else feed.pushes,
        cuts=0 if feed is None else feed.cuts,
    )


def summed(reports: Iterable[Report]) -> dict[str, Counts]:
    """Return what all processes together have done, by family."""
    total: dict[str, Counts] = {}
    for report in reports:
        for name, counts in report.families.items():
            into = total.setdefault(name, Counts())
            for field in Counts.__struct_fields__:
                setattr(into, field, getattr(into, field) + getattr(counts, field))
    return total


def agreements(reports: Iterable[Report]) -> dict[str, Agreement]:
    """Return what all samplers together have found, by family."""
    total: dict[str, Agreement] = {}
    for report in reports:
        for name, found in report.agreement.items():
            into = total.setdefault(name, Agreement())
            into.samples += found.samples
            into.differed += found.differed
            for horizon in HORIZONS_SECONDS:
                into.after[horizon] += found.after.get(horizon, 0)
    return total


def hit_rate(counts: Counts) -> float:
    """Return the share of reads that needed no load, 0 to 1."""
    hits = counts.local + counts.shared
    reads = hits + counts.miss + counts.bypass + counts.stale
    return hits / reads if reads else 0.0


def nines(agreement: Agreement, horizon: int) -> float:
    """Return the share of sampled hits that agreed with the database within `horizon` seconds, 0 to 1."""
    return 1.0 - agreement.after[horizon] / agreement.samples if agreement.samples else 1.0


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Report).decode
decode_relay = msgspec.json.Decoder(RelayReport).decode
