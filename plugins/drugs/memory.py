"""The whole vocabulary in the memory of a process, for as long as the cache vouches for it.

It is made from the cached family `drug_vocabulary`, and used only while that very entry is valid: a change of any
drug ends it as it ends every other entry. It is then made again, behind the requests; meanwhile the shared tier and
the tables answer. A vocabulary over the family's `max_bytes` (about 120,000 names) is never at hand.
"""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

from cito.core.cache.engine import Cache, Entry
from cito.core.cache.observe import note_hit
from cito.core.context import Context
from cito.core.telemetry import current_record
from cito.plugins.drugs.cache import EVERYTHING, EverythingKey
from cito.plugins.drugs.models import Everything
from cito.plugins.drugs.vocabulary import Vocabulary

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0  # between two makings: a series of writes may not keep a processor busy
_LONG_PAUSE_SECONDS = 300.0  # before one is tried again that the local tier did not keep
_KEY = EverythingKey()


class _Held:
    """What one process holds."""

    def __init__(self) -> None:
        self.vocabulary: Vocabulary | None = None
        self.entry: Entry[Everything] | None = None
        self.etag = ""
        self.next_at = 0.0
        self.making: asyncio.Task[None] | None = None


_held: WeakKeyDictionary[Cache, _Held] = WeakKeyDictionary()


def at_hand(context: Context) -> Vocabulary | None:
    """Return the vocabulary where the cache vouches for it at this moment; else see to it, and return None."""
    held = _held.setdefault(context.cache, _Held())
    now = context.clock.monotonic()
    if held.entry is not None and held.entry.valid(now):
        note_hit(held.entry, now, current_record.get())
        return held.vocabulary
    if now >= held.next_at and (held.making is None or held.making.done()):
        held.next_at = now + _PAUSE_SECONDS
        held.making = asyncio.create_task(_make(context.cache, held), name="drug vocabulary")
        held.making.add_done_callback(_tell)
    return None


async def made(context: Context) -> None:
    """Wait until the making under way, if any, has ended."""
    held = _held.get(context.cache)
    if held is not None and held.making is not None:
        await asyncio.wait((held.making,))


async def _make(cache: Cache, held: _Held) -> None:
    current_record.set(None)  # in the task's own context: the request that saw to it does not run this query
    # Whoever loads gets a copy; the entry that is kept, and ended, is what a later hit gets.
    entry = await cache.get(EVERYTHING, _KEY, None)
    if entry.outcome in {"miss", "shared"}:
        entry = await cache.get(EVERYTHING, _KEY, None)
        if entry.outcome == "miss":  # too large to be kept
            held.next_at += _LONG_PAUSE_SECONDS
    if entry.outcome != "local":
        return
    if entry.etag != held.etag:
        vocabulary = await asyncio.to_thread(lambda: Vocabulary(entry.value.drugs))
        held.vocabulary, held.etag = vocabulary, entry.etag
    held.entry = entry


def _tell(task: asyncio.Task[None]) -> None:
    """Note a failure: the next request tries again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("the vocabulary could not be made: %s", type(error).__name__)
