"""The file format of the journal: a header, then records, each one access. One file is one hash chain.

A file is allocated whole and mapped into memory: copying a record into it puts it into the kernel's page cache at
once, where a killed process cannot take it back. A record is `length, crc32, payload`; the length is written last,
so that whoever reads meanwhile (or after a kill in mid-copy) sees a whole record or none. The owner holds a lock
on the file: a file without one has no writer any more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

SUFFIX = ".journal"
_MAGIC = b"CITOAUD1"
_HEADER = struct.Struct("<8s16sQ")  # magic, chain, offset up to which records are in PostgreSQL
_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<II")
FIRST = 64
CLOSING_BYTES = 1_024  # kept free for the record that closes the chain


class Segment:
    """One mapped journal file."""

    __slots__ = ("chain", "descriptor", "end", "map", "path", "size")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.map = mmap.mmap(descriptor, 0)
        self.size = len(self.map)
        magic, chain, _ = _HEADER.unpack_from(self.map)
        if magic != _MAGIC:
            raise ValueError(f"{path}: no audit journal")
        self.chain = UUID(bytes=chain)
        self.end = FIRST

    @classmethod
    def create(cls, folder: Path, chain: UUID, size: int) -> Segment:
        """Allocate a new file, locked by its maker.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        draft = folder / f".{chain}"
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(descriptor, 0, size)
            os.pwrite(descriptor, _HEADER.pack(_MAGIC, chain.bytes, FIRST), 0)
            path = folder / f"{chain}{SUFFIX}"
            draft.rename(path)
            return cls(path, descriptor)
        except OSError:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Map an existing file, to ship it.

        Raises:
            OSError, ValueError: it is gone, or no journal.
        """
        descriptor = os.open(path, os.O_RDWR)
        try:
            return cls(path, descriptor)
        except (OSError, ValueError):
            os.close(descriptor)
            raise

    def append(self, payload: bytes, *, keep: int = CLOSING_BYTES) -> bool:
        """Copy a record behind the last one. False: there is no room for it."""
        start = self.end
        end = start + _RECORD.size + len(payload)
        if end + keep > self.size:
            return False
        self.map[start + _LENGTH.size : end] = _LENGTH.pack(zlib.crc32(payload)) + payload
        _LENGTH.pack_into(self.map, start, len(payload))
        self.end = end
        return True

    def read(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Yield each whole record from an offset on, with the offset behind it."""
        while offset + _RECORD.size <= self.size:
            length, checksum = _RECORD.unpack_from(self.map, offset)
            end = offset + _RECORD.size + length
            if not length or end > self.size:
                return
            payload = self.map[offset + _RECORD.size : end]
            if zlib.crc32(payload) != checksum:
                return  # a power cut tore it
            yield payload, end
            offset = end

    def end_behind(self, offset: int) -> int:
        """Return where the whole records behind an offset end."""
        return max((end for _, end in self.read(offset)), default=offset)

    def written_behind(self, offset: int) -> int:
        """Return where what was written behind an offset ends; whether it is whole, `read` knows, at more cost."""
        last = self.size - _RECORD.size
        while offset <= last and (length := _LENGTH.unpack_from(self.map, offset)[0]):
            offset += _RECORD.size + length
        return offset

    @property
    def shipped(self) -> int:
        """The offset up to which records are in PostgreSQL, as the shipper noted it."""
        offset: int = _HEADER.unpack_from(self.map)[2]
        return offset

    def note_shipped(self, offset: int) -> None:
        """Remember what is in PostgreSQL, for whoever waits for it; the database itself knows better."""
        if offset != self.shipped:
            _HEADER.pack_into(self.map, 0, _MAGIC, self.chain.bytes, offset)

    def take_over(self) -> bool:
        """Lock the file if its writer is gone. False: it lives."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sync(self) -> None:
        """Force what was written to the disk."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Let go of the file; its lock goes with it."""
        self.map.close()
        os.close(self.descriptor)
