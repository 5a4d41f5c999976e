"""The board: what the processes of one node tell each other of their commits, without a server in between.

A session writes through one process and reads through another. The push of its bump may still lie unread in the
other's socket, and where the bump failed there is none. So the writer also puts a note on the board before it
answers, and every read looks at the board first: one word of shared memory, and the notes only where it has changed.

A folder of small files, mapped into memory. Each process writes a ring of notes of its own, so there is no lock that
a stopped process could hold; then it changes the one common word to a random value. Who missed more notes than a
ring holds is told that it missed some.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

_SLOTS = 2048
_NOTE = struct.Struct("<Q64p48p")
_HEAD = struct.Struct("<Q")
_RING = _HEAD.size + _SLOTS * _NOTE.size
_WORD = 8
_SUFFIX = ".ring"
_READ_BY_ALL_SECONDS = 60.0


class Note(NamedTuple):
    """A commit's bump of one tag: its number (0: it failed), the names of tag and witness in the shared tier."""

    number: int
    tag: bytes
    witness: bytes


class Board:
    """One process's view of the board of its node.

    Args:
        folder: of the board; made where it is not there.
        heard: called with the notes of others.
        missed: called when notes of others were overwritten before they were read.

    Attributes:
        node: the same in all processes that share this board's memory, and in no others.
    """

    def __init__(
        self, folder: Path, heard: Callable[[Sequence[Note]], None], missed: Callable[[], None]
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._heard = heard
        self._missed = missed
        _sweep(folder)
        self._word = memoryview(_mapped(folder / "word", _WORD)).cast("Q")
        self.node = _identity(folder / "word")
        self._seen = self._word[0]
        self._own = _OwnRing(folder)
        # What was written before concerns nobody who has only begun.
        self._others = {name: _Ring(folder / name, from_now=True) for name in self._rings()}
        self._signal()  # so that the others meet this process

    def close(self) -> None:
        """Leave the board."""
        self._own.leave()

    def tell(self, notes: Sequence[Note]) -> None:
        """Put notes on the board: every read of the node that begins after this has returned knows them.

        Without notes: knows what others have put there.
        """
        for note in notes:
            self._own.write(note)
        self._signal()

    def news(self) -> bool:
        """Whether there is something new to take in."""
        return bool(self._word[0] != self._seen)

    def look(self) -> None:
        """Take in what is new. It comes before every read, and costs next to nothing where nothing is new."""
        if self._word[0] != self._seen:
            self._take()

    def _signal(self) -> None:
        self._word[0] = int.from_bytes(os.urandom(_WORD))

    def _take(self) -> None:
        self._seen = self._word[0]  # first: what comes while the rings are read changes it again
        rings = self._rings()
        for name in rings - self._others.keys():
            self._others[name] = _Ring(self._folder / name)
        for name, ring in list(self._others.items()):
            notes = ring.news()
            if notes is None:
                self._missed()
            elif notes:
                self._heard(notes)
            if name not in rings:
                del self._others[name]

    def _rings(self) -> set[str]:
        return {
            name
            for name in os.listdir(self._folder)  # noqa: PTH208 - after every write of the node
            if name.endswith(_SUFFIX) and name != self._own.name
        }


class _Ring:
    """The notes of another process: how many it has written, and the last of them."""

    def __init__(self, path: Path, *, from_now: bool = False) -> None:
        self._bytes = _mapped(path, _RING)
        self._count = memoryview(self._bytes)[: _HEAD.size].cast("Q")
        self._read = self._count[0] if from_now else 0

    def news(self) -> list[Note] | None:
        """Return the notes since the last time; None: some were overwritten."""
        first, self._read = self._read, self._count[0]
        notes = [Note(*_NOTE.unpack_from(self._bytes, _at(number))) for number in range(first, self._read)]
        # Beyond what is counted, one more may be half written.
        return None if self._count[0] - first >= _SLOTS else notes


class _OwnRing:
    """The notes of this process. The lock on the file tells that it lives."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.getpid()}-{os.urandom(4).hex()}{_SUFFIX}"
        self._path = folder / self.name
        made = self._path.with_suffix(".new")
        self._file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, _RING)
        self._bytes = mmap.mmap(self._file, _RING)
        self._count = memoryview(self._bytes)[: _HEAD.size].cast("Q")
        made.rename(self._path)

    def write(self, note: Note) -> None:
        number = self._count[0]
        _NOTE.pack_into(self._bytes, _at(number), *note)
        self._count[0] = number + 1

    def leave(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def _at(number: int) -> int:
    return _HEAD.size + number % _SLOTS * _NOTE.size


def _identity(word: Path) -> bytes:
    """Return what tells the memory behind a file from all others: a copied folder or one in a network is another's."""
    found = word.stat()
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux: two machines of one name and the same file are not told apart
        machine = ""
    parts = (machine, socket.gethostname(), str(found.st_dev), str(found.st_ino))
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest().encode()


def _mapped(path: Path, size: int) -> mmap.mmap:
    """Return a file as memory that is shared with whoever maps it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(file).st_size < size:
            os.ftruncate(file, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


def _sweep(folder: Path) -> None:
    """Clear away the rings of processes that ended long enough ago for everybody to have read them."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as ring:
            if time.time() - path.stat().st_mtime < _READ_BY_ALL_SECONDS:
                continue
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(ring, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
