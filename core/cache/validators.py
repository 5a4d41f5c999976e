"""Validators (`ETag`) of answers: made from stamps, so that they are checked without value or body.

`"<row version>.<digest>[.<end of validity>]"`: the digest is of the key, its stamps and that end (milliseconds since
1970, hexadecimal). Nothing in it differs between processes. The digest is SHA-1 because the shared tier's scripts
have no other; it names a state of random stamps and protects nothing.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, sha1
from typing import NamedTuple

_DIGEST = 12
_MOST_COPIES = 8
_VALIDATOR = re.compile(
    r'"(?P<tag>(?P<version>\d{0,18})\.(?P<digest>[\w-]{16})(?:\.(?P<until>[0-9a-f]{1,14}))?)(?:-[zg])?"'
)


class Copy(NamedTuple):
    """A validator that a client sent: it has the answer that was under these stamps."""

    etag: str
    version: int | None
    valid_until_ms: int
    digest: bytes

    def wire(self) -> bytes:
        """Return what `read.lua` compares: end of validity, digest in hexadecimal."""
        return self.valid_until_ms.to_bytes(8, "big") + self.digest.hex().encode()


def stamp_etag(value_key: bytes, vector: bytes, version: int | None, valid_until_ms: int) -> str:
    """Return the validator of an answer under its stamps."""
    digest = urlsafe_b64encode(stamp_digest(value_key, vector, valid_until_ms)).decode()
    until = f".{valid_until_ms:x}" if valid_until_ms else ""
    return f'"{"" if version is None else version}.{digest}{until}"'


def stamp_digest(value_key: bytes, vector: bytes, valid_until_ms: int) -> bytes:
    """Return the digest of a key's answer under these stamps."""
    named = value_key + vector + valid_until_ms.to_bytes(8, "big")
    return sha1(named, usedforsecurity=False).digest()[:_DIGEST]


def body_etag(body: bytes, version: int | None) -> str:
    """Return the validator of an answer that has no stamps (the cache was bypassed): a digest of its bytes."""
    digest = blake2b(body, digest_size=_DIGEST).digest()
    return f'"{"" if version is None else version}.b{urlsafe_b64encode(digest).decode()}"'


def read_copies(if_none_match: str) -> tuple[Copy, ...]:
    """Return the validators of an `If-None-Match` that are of this form; others match nothing."""
    return tuple(
        Copy(
            f'"{found["tag"]}"',
            int(found["version"]) if found["version"] else None,
            int(found["until"], 16) if found["until"] else 0,
            urlsafe_b64decode(found["digest"]),
        )
        for found, _ in zip(_VALIDATOR.finditer(if_none_match), range(_MOST_COPIES), strict=False)
    )
