"""A family made ready: its keys, tags and codec compiled once, and what this process counts of it."""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from cito.core.cache.entry import DEAD, NEVER, Entry
from cito.core.cache.keys import (
    TAG_MAX,
    KeyRefused,
    Names,
    check_key_type,
    check_tag_field,
    encode,
    family_scope,
    tag_text,
    value_shape,
)
from cito.core.declarations import CacheFamily, tag_fields, tag_shape

if TYPE_CHECKING:
    from cito.core.cache.flights import Flight
    from cito.core.cache.local import LocalTier

CLINIC = "clinic_id"
_encode_body = msgspec.json.Encoder(decimal_format="string").encode


class Counts(msgspec.Struct):
    """What one process has done for one family since it started."""

    local: int = 0
    shared: int = 0
    miss: int = 0
    bypass: int = 0
    stale: int = 0
    absent: int = 0
    joined: int = 0
    loads: int = 0
    load_errors: int = 0
    refreshed: int = 0
    oversized: int = 0
    unreadable: int = 0
    invalidated: int = 0


class Plan:
    """One family in one process.

    Attributes:
        together: several keys are read by one query.
        entries: kept entries by `place`.
        flights: reads under way, by `place` and the validators of the caller's own copies.
        sample_at: monotonic seconds from which on the next hit is sampled; never, before `offer` is set.
        look: takes in what other processes of the node have committed; before an entry is believed.
        news: whether there is something to take in; may be asked by any thread.
        offer: takes a hit to be sampled, and the monotonic seconds at which it was one.
        vouched_until: monotonic seconds up to which pushes are known to have told everything; moved by the feed.
    """

    def __init__(
        self,
        family: CacheFamily[Any, Any],
        names: Names,
        local: LocalTier,
        monotonic: Callable[[], float],
    ) -> None:
        check_key_type(family.name, family.key)
        self.family = family
        self.name = family.name
        self.local = local
        self.together = family.load_many is not None
        self.monotonic = monotonic
        self.counts = Counts()
        self.entries: dict[Any, Entry[Any]] = {}
        self.flights: dict[tuple[Any, str], Flight] = {}
        self.absent_until: deque[float] = deque()
        self.sample_at = NEVER
        self.look: Callable[[], None] = lambda: None
        self.news: Callable[[], bool] = lambda: False
        self.offer: Callable[[Entry[Any], float], None] = lambda _entry, _now: None
        self.vouched_until = DEAD
        self.cache_control = family.cache_control.encode()
        self.encode_body: Callable[[Any], bytes] = _encode_body
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(family.value, strict=True).decode
        self._names = names
        self._scopes: dict[UUID | None, bytes] = {}
        self._shape = value_shape(family.value)
        self._templates = tuple(self._template(tag) for tag in family.tags)
        shapes = {tag_shape(tag) for tag in family.tags if tag_fields(tag)}
        self.coarse = tuple(names.tag(shape) for shape in sorted(shapes))

    def _template(self, tag: str) -> Callable[[Any, UUID | None], str]:
        """Compile one tag template to a function of key and clinic."""
        parts = [(literal, field) for literal, field, _, _ in string.Formatter().parse(tag)]
        types = {f.name: f.type for f in msgspec.structs.fields(self.family.key)}
        for _, field in parts:
            if field is None or (field == CLINIC and self.family.scoped):
                continue
            if field not in types:
                raise KeyRefused(f"cache family {self.name}: tag {tag!r} names {field}, no field of its key")
            check_tag_field(self.name, field, types[field])

        def fill(key: Any, clinic_id: UUID | None) -> str:
            out = []
            for literal, field in parts:
                out.append(literal)
                if field is not None:
                    own = field == CLINIC and self.family.scoped
                    out.append(tag_text(clinic_id if own else getattr(key, field)))
            return "".join(out)

        return fill

    def absent_kept(self, now: float) -> int:
        """Return how many negative answers are kept at `now` (monotonic seconds)."""
        while self.absent_until and self.absent_until[0] <= now:
            self.absent_until.popleft()
        return len(self.absent_until)

    def check(self, key: Any, clinic_id: UUID | None) -> None:
        """Refuse a key or clinic that does not fit.

        Raises:
            KeyRefused: names the family and the rule, never the value.
        """
        if type(key) is not self.family.key:
            raise KeyRefused(
                f"cache family {self.name}: the key is a {type(key).__name__}, not {self.family.key.__name__}"
            )
        if self.family.scoped != (clinic_id is not None):
            rule = "needs a clinic" if self.family.scoped else "belongs to no clinic"
            raise KeyRefused(f"cache family {self.name}: it {rule}")
        try:
            msgspec.convert(msgspec.structs.asdict(key), self.family.key)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("`$.")[2].rstrip("`")
            raise KeyRefused(f"cache family {self.name}: key field {field} has the wrong type") from None

    def place(self, key: Any, clinic_id: UUID | None) -> Any:
        """Return where the entry of a key is found in `entries`."""
        return key if clinic_id is None else (clinic_id, key)

    def value_key(self, key: Any, clinic_id: UUID | None) -> bytes:
        """Return the name of a value in the shared tier."""
        scope = self._scopes.get(clinic_id)
        if scope is None:
            scope = family_scope(self.name, self.family.version, self._shape, clinic_id)
            self._scopes[clinic_id] = scope
        return self._names.value(scope, encode(key))

    def tags(self, key: Any, clinic_id: UUID | None) -> tuple[str, ...]:
        """Return the tags of a key, in the order of the declaration."""
        return tuple(fill(key, clinic_id) for fill in self._templates)

    def tag_keys(self, key: Any, clinic_id: UUID | None) -> tuple[bytes, ...]:
        """Return where the stamps of a key are stored: its tags, then the coarse ones.

        Raises:
            KeyRefused: a tag would be too long for the outbox.
        """
        tags = self.tags(key, clinic_id)
        for tag in tags:
            if len(tag) > TAG_MAX:
                raise KeyRefused(f"cache family {self.name}: a tag of this key is over {TAG_MAX} characters")
        return (*(self._names.tag(tag) for tag in tags), *self.coarse)


def compile_families(
    families: Iterable[CacheFamily[Any, Any]],
    names: Names,
    local: LocalTier,
    monotonic: Callable[[], float],
) -> dict[str, Plan]:
    """Return the plans of all families by name.

    Raises:
        KeyRefused: a key type or a tag that cannot work; names the family and what to change.
    """
    return {family.name: Plan(family, names, local, monotonic) for family in families}
