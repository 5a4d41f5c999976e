"""The journal of one process: where an access is written before its answer leaves."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from cito.core.audit.entry import CLOSED, OPENED, Entry, encode_entry
from cito.core.audit.segment import Segment
from cito.core.ids import new_id

SEGMENT_BYTES = 4 * 1024 * 1024
MOST_PATIENTS = 1_000
"""Of one entry; more are split over several."""
_RETRY_NS = 500_000_000
_LATEST = "latest"


class JournalFullError(Exception):
    """The disk has no room for another segment."""


class Journal:
    """Appends entries; opens a new segment when one is full, and at each month's start.

    Args:
        folder: `<home>/audit`.
        segment_bytes: size of one file.
        now_ns: real time.
    """

    def __init__(
        self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._now_ns = now_ns
        self._segment: Segment | None = None
        self._month_ends_ns = 0
        self._retry_ns = 0

    def write(self, entry: Entry) -> None:
        """Put an entry into the kernel.

        Raises:
            JournalFullError: there is no room.
        """
        if len(entry.patients) > MOST_PATIENTS:
            for part in _split(entry):
                self.write(part)
            return
        self.append(encode_entry(entry), entry.occurred_ns)

    def append(self, payload: bytes, occurred_ns: int) -> None:
        """Put an encoded entry, of at most `MOST_PATIENTS`, into the kernel.

        Raises:
            JournalFullError: there is no room.
        """
        segment = self._segment
        if segment is not None and occurred_ns < self._month_ends_ns and segment.append(payload):
            return
        if not self._new_segment(occurred_ns).append(payload):
            raise JournalFullError

    def close(self) -> None:
        """End the chain: from now on a missing last row would be noticed."""
        if self._segment is not None:
            self._close_segment(self._segment)
            self._segment = None

    def _new_segment(self, now_ns: int) -> Segment:
        """Open the next segment, then close the present one.

        Raises:
            JournalFullError: the disk is full; tried again at most twice a second.
        """
        if now_ns < self._retry_ns:
            raise JournalFullError
        chain = new_id()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            segment = Segment.create(self._folder, chain, self._segment_bytes)
            before = self._swap_latest(chain)
        except OSError:
            self._retry_ns = now_ns + _RETRY_NS
            raise JournalFullError from None
        segment.append(encode_entry(marker(OPENED, now_ns, before)))
        if self._segment is not None:
            self._close_segment(self._segment)
        self._segment = segment
        self._month_ends_ns = _month_end_ns(now_ns)
        return segment

    def _close_segment(self, segment: Segment) -> None:
        # Its own time at most the last moment of its month, so that a chain stays within one partition.
        at_ns = min(self._now_ns(), self._month_ends_ns - 1)
        segment.append(encode_entry(marker(CLOSED, at_ns, None)), keep=0)
        segment.close()

    def _swap_latest(self, chain: UUID) -> str | None:
        """Return the chain that was opened before this one on this node, and take its place."""
        descriptor = os.open(self._folder / _LATEST, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # one line of chains for the node, whoever opens them
            before = os.pread(descriptor, 36, 0).decode()
            os.pwrite(descriptor, str(chain).encode(), 0)
        finally:
            os.close(descriptor)
        return before or None


def marker(action: str, occurred_ns: int, previous: str | None) -> Entry:
    """Return the entry that opens or closes a chain; an opening one names the chain before."""
    return Entry(occurred_ns, "cito", "", None, action, "success", "audit", previous, (), "", "", None)


def _split(entry: Entry) -> list[Entry]:
    return [
        msgspec.structs.replace(entry, patients=entry.patients[start : start + MOST_PATIENTS])
        for start in range(0, len(entry.patients), MOST_PATIENTS)
    ]


def _month_end_ns(now_ns: int) -> int:
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)  # noqa: PLR2004 - December
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
