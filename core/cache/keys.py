"""Names in the shared tier: injective, canonical, and free of patient data.

A key struct is encoded as a MessagePack array (self-delimiting, so injective for one struct type), put behind the
family's name, version and clinic, each with its length, and hashed with a secret key. Tag names are hashed too.
All names of one deployment share one hash tag, derived from the secret and the database: two deployments on one
server never meet, nor do a database and its copy, and a cluster can come later by giving each shard a hash tag of its own.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from hashlib import blake2b
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec

_PLAIN = (str, int, bool, float, bytes, UUID, Decimal, type(None))
_TIMES = (dt.datetime, dt.date, dt.time)
_TAG_TYPES = (UUID, str, int, bool, dt.date)
TAG_MAX = 500
"""Characters: the outbox refuses longer tags."""

encode_key: Callable[[msgspec.Struct], bytes]
_encoder = msgspec.msgpack.Encoder()


class KeyRefused(TypeError):  # noqa: N818 - says what happened
    """A key, tag or clinic that does not fit the family; the message names family and field, never a value."""


class Names:
    """Makes every name that is stored in the shared tier.

    Args:
        secret: 32 bytes, the same in every process of a deployment.
        database: identifies the database whose values these are.
    """

    def __init__(self, secret: bytes, database: str) -> None:
        self._secret = blake2b(database.encode(), key=secret, person=b"database").digest()
        deployment = blake2b(b"deployment", key=self._secret, digest_size=5).hexdigest()
        self.prefix = f"cito{{{deployment}}}:".encode()
        self.stamp_prefix = self.prefix + b"s:"
        self.heartbeat = self.stamp_prefix + b"h"
        self.value_prefix = self.prefix + b"v:"
        self.lease_prefix = self.prefix + b"l:"
        self.witness_prefix = self.prefix + b"w:"
        self.process_prefix = self.prefix + b"p:"
        self.relay_report = self.process_prefix + b"relay"
        self.counter_prefix = self.prefix + b"c:"
        self.node_prefix = self.prefix + b"n:"
        self.answer_prefix = self.prefix + b"a:"

    def tag(self, tag: str) -> bytes:
        """Return where a tag's stamp is stored."""
        digest = blake2b(tag.encode(), key=self._secret, person=b"tag", digest_size=16)
        return self.stamp_prefix + digest.hexdigest().encode()

    def value(self, scope: bytes, key: bytes) -> bytes:
        """Return where a value is stored: `scope` is of `family_scope`, `key` of `encode`."""
        digest = blake2b(scope + key, key=self._secret, person=b"value", digest_size=20)
        return self.value_prefix + digest.hexdigest().encode()

    def counter(self, name: str) -> bytes:
        """Return where a counter is stored; its name may tell a person, so it is hashed."""
        digest = blake2b(name.encode(), key=self._secret, person=b"counter", digest_size=16)
        return self.counter_prefix + digest.hexdigest().encode()

    def digest(self, text: bytes) -> bytes:
        """Return 8 keyed bytes that vouch for `text`."""
        return blake2b(text, key=self._secret, person=b"seal", digest_size=8).digest()


def family_scope(name: str, version: int, shape: bytes, clinic_id: UUID | None) -> bytes:
    """Return the part of a key's image that names family, version, shape of the value and clinic, with their lengths."""
    clinic = b"" if clinic_id is None else clinic_id.bytes
    parts = (name.encode(), b"%d" % version, shape, clinic)
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def value_shape(value: type[Any]) -> bytes:
    """Return 8 bytes that are others when fields of a value or their types are.

    So what was stored by code with other fields is a miss, even where nobody raised the family's version.
    """
    schema = msgspec.json.encode(msgspec.json.schema(value), order="sorted")
    return blake2b(schema, digest_size=8).digest()


def encode(key: msgspec.Struct) -> bytes:
    """Return the canonical image of a key: its fields in order, each self-delimiting."""
    return _encoder.encode(msgspec.structs.astuple(key))


def check_key_type(family: str, key: type[msgspec.Struct]) -> None:
    """Refuse a key struct that has no canonical image: it must be frozen, of scalars and tuples of scalars.

    Raises:
        KeyRefused: names the family, the field and the rule.
    """
    if not key.__struct_config__.frozen:
        raise KeyRefused(f"cache family {family}: key {key.__name__} must be frozen")
    for field in msgspec.structs.fields(key):
        if not _canonical(field.type):
            raise KeyRefused(
                f"cache family {family}: key field {field.name} is of a type without a canonical form; "
                "use scalars, enums and tuples of them"
            )


def _canonical(kind: Any) -> bool:
    if kind is Ellipsis or kind in _PLAIN or kind in _TIMES:
        return True
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return True
    origin = get_origin(kind)
    if origin in (dict, set, frozenset, list) or (origin is None and not get_args(kind)):
        return False
    return all(_canonical(arg) or isinstance(arg, str | int) for arg in get_args(kind))


def check_tag_field(family: str, field: str, kind: Any) -> None:
    """Refuse a tag field whose text in Python could differ from PostgreSQL's `::text`.

    Raises:
        KeyRefused: names the family and the field.
    """
    if not (isinstance(kind, type) and (kind in _TAG_TYPES or issubclass(kind, enum.StrEnum))):
        raise KeyRefused(
            f"cache family {family}: tag field {field} must be a UUID, str, int, bool, date or StrEnum"
        )


def tag_text(value: object) -> str:
    """Return a value as PostgreSQL's `::text` writes it, for the types that tags allow."""
    if value is True or value is False:
        return "true" if value else "false"
    return str(value)
