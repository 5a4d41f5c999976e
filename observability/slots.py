"""The file of one process's telemetry: framed slices, appended; read by every process of the node.

First a header, then frames: the totals at the time of writing, the buckets of the timeline, and since then one
frame for each slice. A file that has grown too long is written again under its name, which its readers notice.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cito.observability.metrics import Slice
from cito.observability.timeline import TIERS, Timeline

MAX_BYTES = 4_000_000
_TOTAL, _SLICE = -1, len(TIERS)  # kinds of a frame besides a tier's bucket
_LENGTH = 4  # bytes before each frame


class _Header(msgspec.Struct, array_like=True):
    bounds: tuple[int, ...]  # of all histograms that follow


class _Frame(msgspec.Struct, array_like=True):
    kind: int
    slice: Slice


class Slot:
    """What one process has published: its totals and its recent past."""

    def __init__(self) -> None:
        self.total = Slice()
        self.timeline = Timeline()

    def take(self, frame: _Frame) -> None:
        """Account for one frame of a file."""
        if frame.kind == _SLICE:
            self.total.merge(frame.slice)
            self.timeline.add(frame.slice)
        elif frame.kind == _TOTAL:
            self.total.merge(frame.slice)
            self.timeline.notes.extend(frame.slice.notes)
        else:
            self.timeline.put(frame.kind, frame.slice)


class Reader:
    """Follows the file of another process.

    Args:
        path: the file; it may come, be replaced and go.
        bounds: of our histograms; counts of other bounds (the relay has no targets) are moved into ours.
    """

    def __init__(self, path: Path, bounds: tuple[int, ...]) -> None:
        self._path = path
        self._bounds = bounds
        self._moved: list[int] | None = None  # our position of each of its buckets, where its bounds differ
        self._inode = -1
        self._offset = 0
        self._header = msgspec.msgpack.Decoder(_Header)
        self._frame = msgspec.msgpack.Decoder(_Frame)
        self.slot = Slot()

    def follow(self) -> None:
        """Read what is new; a file that was written again replaces all that it said before."""
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._inode, self._offset, self.slot = inode, 0, Slot()
                file.seek(self._offset)
                frames = list(_frames(file.read()))
        except FileNotFoundError:
            return
        if self._offset == 0 and frames:
            header = frames.pop(0)
            self._offset = len(header) + _LENGTH
            theirs = self._header.decode(header).bounds
            self._moved = None if theirs == self._bounds else _positions(theirs, self._bounds)
        for body in frames:
            frame = self._frame.decode(body)
            if self._moved is not None:
                _move(frame.slice, self._moved)
            self.slot.take(frame)
            self._offset += len(body) + _LENGTH


class Writer:
    """Writes the file of this process, continuing the recent past of the one that had it before."""

    def __init__(self, path: Path, bounds: tuple[int, ...]) -> None:
        before = Reader(path, bounds)
        before.follow()
        self._path = path
        self._bounds = bounds
        self._encode = msgspec.msgpack.Encoder().encode
        self._size = 0
        self.slot = before.slot
        self.slot.total = Slice()  # a restarted process counts from zero, as its peers expect
        self._rewrite()

    def append(self, done: Slice) -> None:
        """Publish one slice; one small write into the page cache."""
        frame = _Frame(_SLICE, done)
        self.slot.take(frame)
        body = self._framed(frame)
        with self._path.open("ab") as file:
            file.write(body)
        self._size += len(body)
        if self._size > MAX_BYTES:
            self._rewrite()

    def _rewrite(self) -> None:
        total = msgspec.structs.replace(self.slot.total, notes=list(self.slot.timeline.notes))
        frames: list[msgspec.Struct] = [_Header(self._bounds), _Frame(_TOTAL, total)]
        frames += [_Frame(tier, bucket) for tier, bucket in self.slot.timeline.buckets()]
        body = b"".join(map(self._framed, frames))
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(body)
        fresh.replace(self._path)
        # The rewritten file is as long as the timeline is: allow the same again before the next time.
        self._size = min(len(body), MAX_BYTES // 2)

    def _framed(self, item: msgspec.Struct) -> bytes:
        body = self._encode(item)
        return len(body).to_bytes(_LENGTH) + body


def _positions(theirs: tuple[int, ...], ours: tuple[int, ...]) -> list[int]:
    """Return for each bucket of theirs the one of ours that holds its upper bound."""
    return [*(bisect_left(ours, bound) for bound in theirs), len(ours)]


def _move(slice_: Slice, positions: list[int]) -> None:
    for series in slice_.histograms.values():
        for histogram in series.values():
            buckets: dict[int, int] = {}
            for position, count in histogram.buckets.items():
                buckets[positions[position]] = buckets.get(positions[position], 0) + count
            histogram.buckets = buckets
            histogram.exemplars = {positions[at]: one for at, one in histogram.exemplars.items()}


def _frames(data: bytes) -> Iterator[bytes]:
    """Yield whole frames; one that is still being written is left for the next time."""
    position = 0
    while position + _LENGTH <= len(data):
        end = position + _LENGTH + int.from_bytes(data[position : position + _LENGTH])
        if end > len(data):
            return
        yield data[position + _LENGTH : end]
        position = end
