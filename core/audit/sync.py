"""Forces journals to the disk a few milliseconds after they were written, whether or not PostgreSQL is there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Container, Iterator
from pathlib import Path
from threading import Event, Thread

from cito.core.audit.segment import FIRST, SUFFIX, Segment

_log = logging.getLogger("cito.audit")
BACKLOG_BYTES = 2_000_000  # some seconds of the most that one node can write


class Syncer:
    """Syncs the journals of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[Segment, int]] = {}
        self._changed_ns = 0

    def sync_once(self) -> int:
        """Sync what was written since the last time; returns how many journals that were. A few us where none was."""
        changed_ns = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 - 200 times a second
        if changed_ns != self._changed_ns:
            self._look()
            self._changed_ns = changed_ns
        synced = 0
        for path, (segment, before) in self._seen.items():
            end = segment.written_behind(before)
            if end != before:
                segment.sync()
                self._seen[path] = (segment, end)
                synced += 1
        return synced

    def close(self) -> None:
        """Let go of all files."""
        for segment, _ in self._seen.values():
            segment.close()
        self._seen.clear()

    def _look(self) -> None:
        there = set(self._folder.glob(f"*{SUFFIX}"))
        for path in self._seen.keys() - there:
            self._seen.pop(path)[0].close()
        new = {path: (segment, FIRST) for path, segment in open_journals(self._folder, self._seen)}
        self._seen.update(new)


def open_journals(folder: Path, known: Container[Path] = ()) -> Iterator[tuple[Path, Segment]]:
    """Open each journal that is not known yet; one that is gone in the meantime is none."""
    for path in folder.glob(f"*{SUFFIX}"):
        if path not in known:
            with contextlib.suppress(OSError, ValueError):
                yield path, Segment.open(path)


@contextlib.contextmanager
def syncing(folder: Path, seconds: float) -> Iterator[None]:
    """Sync every few milliseconds for the length of a block, on a thread of its own: sealing may not delay it."""
    stop = Event()
    thread = Thread(target=_sync_until, args=(stop, folder, seconds), name="cito-audit-sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _sync_until(stop: Event, folder: Path, seconds: float) -> None:
    syncer = Syncer(folder)
    failing = False
    while not stop.is_set():
        time.sleep(seconds)  # 200 times a second: waiting for the event would cost twice as much
        try:
            syncer.sync_once()
            failing = False
        except OSError as error:  # a disk in trouble: what is not synced is tried again with the next round
            if not failing:
                _log.error("audit events cannot be forced to the disk: %s", type(error).__name__)
            failing = True
    syncer.close()


async def wait_until_shipped(folder: Path, seconds: float) -> bool:
    """Wait until what all processes of this node have written so far is in PostgreSQL. False: it took too long."""
    deadline = asyncio.get_running_loop().time() + seconds
    targets = [(segment, segment.end_behind(FIRST)) for _, segment in open_journals(folder)]
    try:
        while any(segment.shipped < end for segment, end in targets):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
    finally:
        for segment, _ in targets:
            segment.close()
    return True


def backlog(folder: Path) -> str | None:
    """Return what to say when much of what this node has written is not in PostgreSQL yet; None: all is well."""
    waiting = 0
    for _, segment in open_journals(folder):
        waiting += segment.end_behind(segment.shipped) - segment.shipped
        segment.close()
    if waiting < BACKLOG_BYTES:
        return None
    return f"{waiting / 1e6:.0f} MB of audit events wait; is the part `audit` running?"
