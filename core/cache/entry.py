"""One cached answer: the encoded body and everything a hit needs, made once when the entry is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from cito.core.cache.families import Plan

V = TypeVar("V")
NEVER = float("inf")
DEAD = float("-inf")


class Entry(Generic[V]):
    """One answer. Never changed once it was given out, except by becoming invalid.

    A local hit is valid while `now < check_at` and `now < plan.vouched_until`, both in seconds of the clock's
    monotonic time: an invalidation sets `check_at` to minus infinity, life and time bounds are folded into it,
    and the heartbeat moves `vouched_until`. Whoever holds a reference (the fast path) asks the same two questions.

    Attributes:
        body: the value as encoded JSON, ready to be sent; empty when absent.
        absent: the thing does not exist (a negative answer).
        etag: strong validator, in quotes; the same in every process.
        outcome: `local`, `shared`, `miss`, `bypass` or `stale`; `composed` of an answer made of several.
        patients: whose data the body holds.
        version: the row's version, for `If-Match`; None: it has none.
        loaded_at: monotonic seconds at the start of its load.
        check_at: up to then the entry needs no second look (`expires_at`, or earlier where it is refreshed ahead).
        not_modified: the caller's own copy is still good (`if_none_match`); the body is empty then.
    """

    __slots__ = (
        "__weakref__",
        "absent",
        "body",
        "check_at",
        "clinic_id",
        "coded",
        "etag",
        "expires_at",
        "frequency",
        "key",
        "loaded_at",
        "not_modified",
        "outcome",
        "patients",
        "plan",
        "queue",
        "size",
        "tags",
        "valid_until_ms",
        "vector",
        "version",
    )

    def __init__(self, plan: Plan, key: Any, clinic_id: UUID | None, tags: tuple[bytes, ...]) -> None:
        self.plan = plan
        self.key = key
        self.clinic_id = clinic_id
        self.tags = tags
        self.check_at = NEVER  # while it is being filled: only an invalidation can end it
        self.outcome = "local"
        self.queue: dict[Entry[Any], None] | None = None
        self.frequency = 0
        self.size = 0
        self.body = b""
        self.absent = False
        self.etag = ""
        self.patients: tuple[UUID, ...] = ()
        self.version: int | None = None
        self.vector = b""
        self.loaded_at = self.expires_at = 0.0
        self.valid_until_ms = 0
        self.coded: dict[bytes, Any] = {}
        self.not_modified = False

    @property
    def value(self) -> V:
        """The value, decoded from the body each time it is asked for.

        Raises:
            LookupError: the thing does not exist.
        """
        if self.absent or self.not_modified:
            raise LookupError(f"cache family {self.plan.name}: an absent or unmodified answer has no value")
        decoded: V = self.plan.decode(self.body)
        return decoded

    @property
    def age_seconds(self) -> float:
        """Seconds since the load."""
        return max(0.0, self.plan.monotonic() - self.loaded_at)

    def valid(self, now: float) -> bool:
        """Whether a hit at `now` (monotonic seconds) may serve this entry without a second look."""
        return now < self.check_at and now < self.plan.vouched_until

    def answered(self, outcome: str) -> Entry[V]:
        """Return this answer under another outcome; the entry itself stays what later hits get."""
        other: Entry[V] = Entry.__new__(Entry)
        for name in _COPIED:  # `copy.copy` takes three times as long
            setattr(other, name, getattr(self, name))
        other.outcome = outcome
        other.queue = None
        return other


_COPIED = tuple(name for name in Entry.__slots__ if name not in ("__weakref__", "outcome", "queue"))
