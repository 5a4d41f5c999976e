"""The secrets of the cache: one to hash names, and a ring of keys that encrypt patient data in the shared tier.

The ring's current key encrypts; the others only decrypt, until their values have expired. Rotating adds a key and
keeps the old ones: running processes take it up by themselves (`refresh`), and nothing becomes unreadable.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEEP = 4


class KeyRingError(Exception):
    """The key file is missing or broken; the message says which and what to do."""


class _File(msgspec.Struct, frozen=True):
    names: bytes
    current: int
    keys: dict[str, bytes]


class KeyRing:
    """Keys in memory.

    Args:
        names: 32 bytes that hash names; never rotated (that would be a new, empty cache).
        keys: AES-256 keys by number.
        current: the number of the key that encrypts.
    """

    def __init__(self, names: bytes, keys: Mapping[int, bytes], current: int) -> None:
        self.names = names
        self.current = current
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}

    @classmethod
    def generate(cls) -> KeyRing:
        """Return a new ring with one key."""
        return cls(secrets.token_bytes(32), {1: secrets.token_bytes(32)}, 1)

    def cipher(self, number: int) -> AESGCM | None:
        """Return the cipher of a key, or None when the ring does not have it."""
        return self._ciphers.get(number)

    def adopt(self, other: KeyRing) -> None:
        """Take up another ring's keys; names stay."""
        self._ciphers = dict(other._ciphers)
        self.current = other.current


class KeyFile:
    """The ring's file, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = 0

    def open(self, *, create: bool) -> KeyRing:
        """Return the ring, made on first use where `create` allows it.

        Raises:
            KeyRingError: there is no file and none may be made, or it is broken.
        """
        if not self.path.exists():
            if not create:
                raise KeyRingError(f"{self.path}: no cache keys; make them with `cito cache key`")
            ring = _File(secrets.token_bytes(32), 1, {"1": secrets.token_bytes(32)})
            self._write(ring)
        return self._ring()

    def rotate(self) -> int:
        """Add a key and make it current; the last few stay for reading. Returns its number."""
        old = self._read()
        number = old.current + 1
        keys = {k: v for k, v in old.keys.items() if int(k) > number - _KEEP}
        self._write(_File(old.names, number, {**keys, str(number): secrets.token_bytes(32)}))
        return number

    def refresh(self, ring: KeyRing) -> bool:
        """Take up the file's keys where it has changed since; True when it had."""
        try:
            changed = self.path.stat().st_mtime_ns
            if changed == self._seen:
                return False
            ring.adopt(self._ring())
        except (OSError, KeyRingError):  # being replaced, or gone: what is in memory stays good
            return False
        return True

    def _ring(self) -> KeyRing:
        self._seen = self.path.stat().st_mtime_ns
        found = self._read()
        return KeyRing(found.names, {int(number): key for number, key in found.keys.items()}, found.current)

    def _read(self) -> _File:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_File)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise KeyRingError(f"{self.path}: not a key file ({error})") from None

    def _write(self, ring: _File) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(ring))
        try:
            if self.path.exists():
                fresh.replace(self.path)
            else:
                os.link(fresh, self.path)  # of several processes that start at once, one wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink(missing_ok=True)
