"""The cache of one process. A read goes: local tier, shared tier, database; each answer vouched for by stamps.

The rule that everything rests on: stamps are read before the database is, and bumped after a commit. A value is
stored under stamps that are at most as new as itself, and a bump on the way makes it a miss by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from cito.core.cache.again import Again
from cito.core.cache.board import Board, Note
from cito.core.cache.codec import Codec
from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.families import Plan, compile_families
from cito.core.cache.feed import Feed
from cito.core.cache.fill import Filler
from cito.core.cache.flights import Flight
from cito.core.cache.keyring import KeyFile, KeyRing
from cito.core.cache.keys import KeyRefused, Names
from cito.core.cache.loads import Readers, Source
from cito.core.cache.local import LocalTier
from cito.core.cache.observe import note, note_hit, note_trips
from cito.core.cache.read import Read
from cito.core.cache.report import EVERY_SECONDS, LIFE_MS, encode, report_of
from cito.core.cache.resolve import Resolver
from cito.core.cache.sampler import Sampler
from cito.core.cache.shared import SharedAway, SharedCounts, SharedTier
from cito.core.cache.tags import EVERYTHING, DeclaredTags
from cito.core.cache.tier import Shared
from cito.core.cache.words import Words
from cito.core.clock import Clock
from cito.core.declarations import CacheFamily, Strategy
from cito.core.registry import Registry
from cito.core.settings import Settings
from cito.core.tasks import end
from cito.core.telemetry import What, current_record

__all__ = ["Cache", "Entry", "KeyRefused", "Read"]

K = TypeVar("K", bound=msgspec.Struct)
V = TypeVar("V")


class _Nothing(msgspec.Struct, frozen=True):
    pass


class _Deployment(msgspec.Struct, frozen=True):
    id: str


class Cache:
    """Coherent reads by family and key. Made by `Cache.open`.

    Args:
        families: what may be asked for.
        readers: the database.
        names: names in the shared tier.
        ring: encryption keys.
        shared: the shared tier; None: every read goes to the database, coalesced.
        clock: wall and monotonic time.
        local_bytes: bound of the local tier.

    Attributes:
        url: of the shared tier; None: there is none.
    """

    def __init__(
        self,
        families: Iterable[CacheFamily[Any, Any]],
        readers: Readers,
        names: Names,
        ring: KeyRing,
        shared: Shared | None,
        *,
        clock: Clock,
        local_bytes: int,
    ) -> None:
        self.names = names
        self.ring = ring
        self._monotonic = clock.monotonic
        self.local = LocalTier(local_bytes)
        self.plans: dict[str, Plan] = compile_families(families, names, self.local, self._monotonic)
        self.tags = DeclaredTags(plan.family for plan in self.plans.values())
        self.feed: Feed | None = None
        self._fed_as_of = DEAD
        self._resolver = Resolver(
            shared, self.local, Filler(Codec(names, ring), clock), readers, self._monotonic
        )
        self.sampler = Sampler(readers, self._stamps)
        for plan in self.plans.values():
            plan.offer, plan.sample_at = self.sampler.offer, 0.0
        self.url: str | None = None
        self._again = Again(self._resolver.add)
        self._housekeeping: asyncio.Task[None] | None = None
        self.board: Board | None = None
        self.words: Words | None = None

    @classmethod
    async def open(
        cls, settings: Settings, url: str, database: Source, registry: Registry, clock: Clock | None = None
    ) -> Cache:
        """Open the cache of this process and connect it with the database's commits.

        Args:
            settings: `cache`, and `home`, where the keys are.
            url: of the shared tier: `redis://`, `rediss://` or `unix://`.
            database: where loaders read.
            registry: declared families.
            clock: wall and monotonic time; None: the real one.

        Raises:
            KeyRingError: no keys, outside development.
            KeyRefused: a family whose key or tags cannot work.
        """
        keys = KeyFile(settings.home / "keys" / "cache.json")
        ring = keys.open(create=settings.environment == "development")
        (found,) = await database.reader(None).fetch("deployment", _Nothing(), _Deployment)
        names = Names(ring.names, found.id)
        shared = SharedTier(url, names, settings.cache.deadline_ms / 1000) if settings.cache.enabled else None
        families = [owned.value for owned in registry.cache_families]
        local_bytes = settings.cache.local_bytes
        cache = cls(families, database, names, ring, shared, clock=clock or Clock(), local_bytes=local_bytes)
        for plan in cache.plans.values():
            plan.together = plan.together and settings.database.coalescing
        if shared is not None:
            cache.join(settings.home / "run" / "board")
            feed = cache.follow(url, bound_seconds=2 * settings.cache.deadline_ms / 1000)
            feed.start()
            await feed.begun()
        cache._housekeeping = asyncio.create_task(cache._keep_house(keys, shared))
        database.committed = cache.committed
        return cache

    def join(self, folder: Path) -> None:
        """Share the board in this folder with the other processes of the node."""
        self.board = Board(folder, self.heard, self.missed)
        for plan in self.plans.values():
            plan.look, plan.news = self.board.look, self.board.news

    def follow(self, url: str, *, bound_seconds: float) -> Feed:
        """Return the feed that connects the local tier to the pushes of the shared one, to be started.

        Args:
            url: of the shared tier.
            bound_seconds: no write waits longer for other nodes, its bump included.
        """
        assert self._resolver.shared is not None
        self.url = url
        self.words = self._resolver.words = Words(
            self.names,
            os.urandom(8).hex().encode() if self.board is None else self.board.node,
            self._resolver.shared.witness,
            tell=self.told,
            listening=lambda: self.feed is not None and self.feed.connected,
            bound_seconds=bound_seconds,
        )
        strictest = min((plan.family.max_staleness_seconds for plan in self.plans.values()), default=1.0)
        self.feed = Feed(
            url,
            self.names,
            changed=self.changed,
            flushed=self.flushed,
            beaten=self._resolver.pulse.seen,
            vouched=self.vouched,
            monotonic=self._monotonic,
            period_seconds=min(0.1, strictest / 8),
            channels=self.words.channels,
        )
        return self.feed

    async def close(self) -> None:
        """End everything under way and close the connections."""
        if self._housekeeping is not None:
            await end(self._housekeeping)
        self._again.close()
        await self.sampler.close()
        if self.feed is not None:
            await self.feed.close()
        await self._resolver.close()
        if self.board is not None:
            self.board.close()
        if self._resolver.shared is not None:
            await self._resolver.shared.close()

    async def _keep_house(self, keys: KeyFile, shared: SharedTier | None) -> None:
        """Every few seconds: take up rotated keys, tell what this process does."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            keys.refresh(self.ring)
            if shared is not None and shared.available:
                with contextlib.suppress(SharedAway):
                    await shared.keep(shared.report_name, encode(report_of(self)), LIFE_MS)

    # -- reading -----------------------------------------------------------------------------------------

    def get(self, family: CacheFamily[K, V], key: K, clinic_id: UUID | None) -> Read[V]:
        """Return the read of one key: await it, or answer a request with it (`cito.core.http.etag.answer`).

        Args:
            family: a declared family.
            key: of the family's key type.
            clinic_id: of the caller; None for a family that belongs to no clinic.
        """
        return Read(self._find, family, key, clinic_id)

    async def _find(
        self, family: CacheFamily[Any, V], key: Any, clinic_id: UUID | None, if_none_match: str
    ) -> Entry[V]:
        """Return the entry; see `Read`."""
        plan = self.plans.get(family.name)
        if plan is None or plan.family is not family:
            raise KeyRefused(f"cache family {family.name}: not declared by an enabled plugin")
        plan.look()
        entry = plan.entries.get(key if clinic_id is None else (clinic_id, key))
        if entry is not None:
            now = self._monotonic()
            if now < entry.check_at and now < plan.vouched_until:
                note_hit(entry, now, current_record.get())
                return entry
            if plan.family.strategy is Strategy.REFRESH_AHEAD and self._again.refreshes(entry, now):
                note_hit(entry, now, current_record.get())
                return entry
        start_ns = perf_counter_ns()
        known = if_none_match if family.patients is None else ""
        flight = self._flight(plan, key, clinic_id, known)
        found = await flight.join()
        note_trips(flight, start_ns)
        note(found, start_ns)
        return found

    async def get_many(
        self, family: CacheFamily[K, V], keys: Sequence[K], clinic_id: UUID | None
    ) -> dict[K, Entry[V]]:
        """Return the answers for many keys: one round trip to the shared tier, one query, one write back.

        Raises:
            KeyRefused, Problem: as `get`.
        """
        entries = await asyncio.gather(*(self._find(family, key, clinic_id, "") for key in keys))
        return dict(zip(keys, entries, strict=True))

    def _flight(self, plan: Plan, key: Any, clinic_id: UUID | None, known: str) -> Flight:
        """Return the flight to wait for: one under way that is not too old for this caller, else a new one.

        Those who have a copy share no flight with those who need a body.
        """
        place = (plan.place(key, clinic_id), known)
        flight = plan.flights.get(place)
        if (
            flight is not None
            and flight.alive
            and (not flight.sent or self._monotonic() < plan.vouched_until)
        ):
            plan.counts.joined += 1
            return flight
        plan.check(key, clinic_id)
        flight = plan.flights[place] = Flight(plan, key, clinic_id, known=known)
        self._resolver.add(flight)
        return flight

    # -- what is stale -----------------------------------------------------------------------------------

    async def committed(self, tags: Sequence[str]) -> None:
        """Make tags stale that a commit of this process touched: its caller's next read is fresh.

        That read may go to any process of any node: the board tells those of this one before this returns, a word the
        other nodes. Never fails, never waits longer than twice the deadline: the relay does the same from the outbox.
        The record says `unconfirmed` where another node may not know of it yet, `failed` where the bump did.
        """
        if EVERYTHING in tags:
            self.flushed()
        names = tuple(dict.fromkeys(self.names.tag(tag) for tag in tags))
        start_ns = perf_counter_ns()
        self._ended(names)
        bumped = await self._resolver.bump(names)
        self._ended(names)
        if self.board is not None:
            self.board.tell(bumped.notes)
        code = await self._resolver.known(bumped)
        record = current_record.get()
        if record is not None:
            record.add(What.BUMP, "", start_ns, code=code, amount=len(names))

    async def invalidate(self, tag: str) -> None:
        """Make one tag stale by hand.

        Raises:
            KeyRefused: no family has such a tag.
            SharedAway: the shared tier did not answer; the tag may not be stale elsewhere.
        """
        self.tags.check(tag)
        await self._bump((self.names.tag(tag),))

    async def bump(self, family: str) -> None:
        """Make all entries of a family stale (and, of other families, those that share its coarse tags).

        Raises:
            KeyRefused: no such family.
            SharedAway: as `invalidate`.
        """
        plan = self.plans.get(family)
        if plan is None:
            raise KeyRefused(f"cache family {family}: not declared by an enabled plugin")
        await self._bump(tuple(self.names.tag(tag) for tag in self.tags.coarse(plan.family)))

    async def _bump(self, names: tuple[bytes, ...]) -> None:
        self._ended(names)
        if self._resolver.shared is not None:
            await self._resolver.shared.bump(names, 0)
        self._ended(names)

    def _ended(self, names: Sequence[bytes]) -> None:
        """End the entries of tags; those of a write-through family are loaded again, after the relay's own bump."""
        for entry in self.local.invalidate(names):
            entry.plan.counts.invalidated += 1
            self._again.ended(entry)

    @property
    def shared_counts(self) -> SharedCounts | None:
        """What this process has done with the shared tier; None: caching is off, or simulated."""
        shared = self._resolver.shared
        return shared.counts if isinstance(shared, SharedTier) else None

    async def _stamps(self, tags: tuple[bytes, ...]) -> list[str]:
        """Return the present stamps of tags, in hexadecimal; empty where they cannot be read."""
        if self._resolver.shared is None:
            return []
        try:
            _, stamps = await self._resolver.shared.stamps(tags)
        except SharedAway:
            return []
        return ["missing" if stamp is None else stamp.hex() for stamp in stamps]

    @property
    def as_of(self) -> float:
        """Monotonic seconds: what was committed before has been told to this process; minus infinity: unknown."""
        return self._fed_as_of

    async def vouched_for(self, seconds: float) -> None:
        """Wait until the relay vouches for what this process is told.

        Raises:
            SharedAway: it did not within `seconds`: no relay, or no shared tier.
        """
        deadline = self._monotonic() + seconds
        while self.as_of == DEAD:
            if self._monotonic() > deadline:
                raise SharedAway
            await asyncio.sleep(0.02)

    # -- what the board tells ---------------------------------------------------------------------------

    def heard(self, notes: Sequence[Note]) -> None:
        """Take in what another process of the node has committed, or told of another node."""
        self._ended([note.tag for note in notes])
        self._resolver.told(notes)
        if self.words is not None:
            self.words.heard(notes)

    def missed(self) -> None:
        """Believe nothing until the relay has vouched for what was missed on the board."""
        self.flushed()
        self._resolver.bumps.missed(self._monotonic())

    # -- what the feed tells -----------------------------------------------------------------------------

    def told(self, notes: Sequence[Note]) -> None:
        """Take in what another node has committed; when this returns, every read of this node knows of it."""
        self._ended([note.tag for note in notes])
        self._resolver.told(notes)
        if self.board is not None:
            self.board.tell(notes)

    def changed(self, names: Sequence[bytes]) -> None:
        """Take in names of stamps that have changed."""
        self._ended(names)

    def flushed(self) -> None:
        """End everything: what was missed is not known."""
        self.local.clear()

    def vouched(self, as_of: float) -> None:
        """Take in the moment (monotonic seconds) up to which everything has been told."""
        self._fed_as_of = as_of
        self._resolver.bumps.vouched(self._resolver.pulse.as_of)
        for plan in self.plans.values():
            plan.vouched_until = as_of + plan.family.max_staleness_seconds
