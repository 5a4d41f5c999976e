"""The local tier: entries in this process, bounded by bytes, found by tag in one step.

Eviction is S3-FIFO (Yang and others, SOSP 2023): new entries pass a small queue (a tenth of the bytes), those that
were hit there move to the main queue, those that come back soon after eviction go there at once. A hit costs one
increment and moves nothing. `docs/cache.md` has its hit rates beside those of LRU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.observe import MOST_FREQUENT

OVERHEAD = 1_400
"""Bytes of an entry beside its body: the object, its key, its place in queues and tag index; measured."""
_SMALL_SHARE = 0.1

Queue = OrderedDict[Entry[Any], None]


class LocalTier:
    """Entries by tag, and the order in which they leave. The entries themselves are found through their plan.

    Args:
        capacity: bytes for all families together.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.bytes = 0
        self.evictions = 0
        self.by_tag: dict[bytes, set[Entry[Any]]] = {}
        self._small: Queue = OrderedDict()
        self._main: Queue = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def watch(self, entry: Entry[Any]) -> None:
        """Let invalidations of its tags reach the entry, from before its stamps are read."""
        for tag in entry.tags:
            watched = self.by_tag.get(tag)
            if watched is None:
                self.by_tag[tag] = {entry}
            else:
                watched.add(entry)

    def unwatch(self, entry: Entry[Any]) -> None:
        """Forget an entry that is not kept."""
        for tag in entry.tags:
            watched = self.by_tag.get(tag)
            if watched is not None:
                watched.discard(entry)
                if not watched:
                    del self.by_tag[tag]

    def keep(self, entry: Entry[Any]) -> None:
        """Keep a filled, watched entry; others leave when there is no room."""
        entries = entry.plan.entries
        place = entry.plan.place(entry.key, entry.clinic_id)
        old = entries.get(place)
        if old is not None:
            self.drop(old)
        entries[place] = entry
        entry.size = OVERHEAD + len(entry.body)
        self.bytes += entry.size
        ghost = hash(place)
        if ghost in self._ghosts:
            del self._ghosts[ghost]
            entry.queue = self._main
        else:
            entry.queue = self._small
            self._small_bytes += entry.size
        entry.queue[entry] = None
        while self.bytes > self.capacity:
            self._evict()

    def grew(self, entry: Entry[Any], size: int) -> None:
        """Count bytes that were added to a kept entry (another content coding)."""
        if entry.queue is not None:
            entry.size += size
            self.bytes += size
            if entry.queue is self._small:
                self._small_bytes += size

    def drop(self, entry: Entry[Any]) -> None:
        """Remove a kept entry."""
        queue = entry.queue
        if queue is not None:
            del queue[entry]
            self._leave(entry, queue)

    def invalidate(self, tags: Iterable[bytes]) -> list[Entry[Any]]:
        """End the validity of all entries of these tags, also of those being filled; returns those kept.

        A family that may serve stale answers keeps its entry, unreachable for hits, as the last known value.
        """
        ended: list[Entry[Any]] = []
        for tag in tags:
            for entry in tuple(self.by_tag.get(tag, ())):
                entry.check_at = DEAD
                self.unwatch(entry)
                if entry.queue is not None:
                    ended.append(entry)
                    if not entry.plan.family.serve_stale_seconds:
                        self.drop(entry)
        return ended

    def clear(self) -> None:
        """End the validity of everything (the stream was cut, the epoch has changed)."""
        self.invalidate(tuple(self.by_tag))

    def _evict(self) -> None:
        """Take the next entry of the small queue, or of the main one; hit ones get another turn."""
        if self._small and (self._small_bytes > self.capacity * _SMALL_SHARE or not self._main):
            entry, _ = self._small.popitem(last=False)
            if entry.frequency:
                self._small_bytes -= entry.size
                entry.frequency = 0
                entry.queue = self._main
                self._main[entry] = None
                return
            self._leave(entry, self._small)
            self._ghosts[hash(entry.plan.place(entry.key, entry.clinic_id))] = None
            while len(self._ghosts) > len(self._main) + len(self._small):
                self._ghosts.popitem(last=False)
        else:
            entry, _ = self._main.popitem(last=False)
            if entry.frequency:
                entry.frequency = min(entry.frequency, MOST_FREQUENT) - 1
                self._main[entry] = None
                return
            self._leave(entry, self._main)
        self.evictions += 1
        self.unwatch(entry)

    def _leave(self, entry: Entry[Any], queue: dict[Entry[Any], None]) -> None:
        """Take an entry's bytes and name away; it is out of its queue already."""
        entry.queue = None
        self.bytes -= entry.size
        if queue is self._small:
            self._small_bytes -= entry.size
        place = entry.plan.place(entry.key, entry.clinic_id)
        if entry.plan.entries.get(place) is entry:
            del entry.plan.entries[place]
        self.unwatch(entry)
