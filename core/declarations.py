"""What plugins declare: frozen data, checked by itself when made and against the rest when assembled.

Lowest module of the package: it imports nothing of ours. Tag templates (`"patient:{patient_id}"`) have one
grammar on both sides: a family fills them from its key, an invalidation from the changed row, old and new.
"""

from __future__ import annotations

import re
import string
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

K = TypeVar("K", bound=msgspec.Struct)
V = TypeVar("V")
Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SCOPE = re.compile(r"[a-z][a-z_]*:[a-z_]+")


def check_slug(what: str, name: str) -> None:
    """Refuse a name that is not lower-case letters, digits and underscores, 1 to 63 long.

    Raises:
        ValueError: names the declaration and the rule.
    """
    if not _SLUG.fullmatch(name):
        raise ValueError(f"{what} {name!r}: a name is lower-case letters, digits and underscores, at most 63")


def tag_fields(template: str) -> tuple[str, ...]:
    """Return the field names of a tag template in their order: `"a:{x}:{y}"` gives `("x", "y")`."""
    return tuple(field for _, field, _, _ in string.Formatter().parse(template) if field is not None)


def tag_shape(template: str) -> str:
    """Return what both sides of a template share, whatever its fields are called: `"patient:{id}"` is `"patient:{}"`."""
    return re.sub(r"\{[^{}]*\}", "{}", template)


class Executor(Protocol):
    """Where a named query runs: a reader bound to one clinic (or to none), or an open transaction."""

    @property
    def clinic_id(self) -> UUID | None:
        """The clinic whose rows are visible; None: only tables that belong to no clinic."""
        ...

    async def fetch(self, name: str, params: msgspec.Struct, row: type[V]) -> list[V]:
        """Run the named query and return its rows as `row` structs."""
        ...

    async def execute(self, name: str, params: msgspec.Struct) -> int:
        """Run the named statement and return how many rows it touched."""
        ...


class Strategy(StrEnum):
    """How a family is filled: on a miss; early, while the old value serves; or again after each write."""

    ASIDE = "aside"
    REFRESH_AHEAD = "refresh_ahead"
    WRITE_THROUGH = "write_through"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A database index and its reason. Its DDL is the block `-- name: <name>` of the plugin's `indexes.sql`.

    Attributes:
        name: the index's name in PostgreSQL.
        table: the table it is on.
        serves: names of the queries whose plans use it; `cito indexes verify` proves it.
        because: one sentence for the reader of `cito plugins` and of the plan report.
    """

    name: str
    table: str
    serves: tuple[str, ...]
    because: str

    def __post_init__(self) -> None:
        check_slug("index", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFamily(Generic[K, V]):
    """A kind of cached answer: its typed key, its value, its loader, its life and what makes it stale.

    Attributes:
        name: unique over all plugins; in keys, metrics and `cito cache families`.
        version: part of every key, and so are the fields of `value`; raise it when they mean something else, and old
            entries are orphaned.
        key: a frozen struct; its fields fill the tag templates. The clinic is added by the core.
        value: what the loader returns: a struct, encoded once as the response body.
        load: `(executor, key) -> value | None`; the executor sees the clinic of the caller.
        load_many: `(executor, keys) -> {key: value}`; absent keys do not exist. One query.
        tags: templates over the key's fields; `{clinic_id}` is always available to a scoped family.
        ttl_seconds: soft life; older entries are loaded again.
        hard_limit_seconds: nothing older is ever served, whatever has failed. At least `ttl_seconds`.
        max_staleness_seconds: the relay's heartbeat must have increased within it, else the cache is bypassed.
        strategy: see `Strategy`.
        scoped: the value belongs to one clinic; False only for data that every clinic shares.
        phi: patient data: key parameters become a keyed hash, shared values are encrypted, reads are audited.
        safety: decides about a person; never served stale, never when the database is away.
        absent_ttl_seconds: how long "does not exist" is remembered; 0: not at all.
        serve_stale_seconds: with the database away, the last known value up to this age, marked; 0: never.
        max_bytes: a larger body is answered but not stored.
        patients: ids of the patients whose data a value holds, kept beside it, so that hits are audited whole.
        valid_until: the next moment at which time alone changes the answer; None: it does not.
        cache_control: of answers over HTTP; never `public`, and patient data is asked about each time.
        warm: `(executor) -> keys` worth loading ahead, most used first (`cito cache warm`).
    """

    name: str
    version: int
    key: type[K]
    value: type[V]
    load: Callable[[Executor, K], Awaitable[V | None]]
    load_many: Callable[[Executor, Sequence[K]], Awaitable[Mapping[K, V]]] | None = None
    tags: tuple[str, ...]
    ttl_seconds: float
    hard_limit_seconds: float
    max_staleness_seconds: float = 1.0
    strategy: Strategy = Strategy.ASIDE
    scoped: bool = True
    phi: bool = False
    safety: bool = False
    absent_ttl_seconds: float = 0.0
    serve_stale_seconds: float = 0.0
    max_bytes: int = 1_048_576
    patients: Callable[[K, V], Iterable[UUID]] | None = None
    valid_until: Callable[[K, V], datetime | None] | None = None
    cache_control: str = "private, no-cache"
    warm: Callable[[Executor], Awaitable[Sequence[K]]] | None = None

    def __post_init__(self) -> None:
        check_slug("cache family", self.name)
        if not self.tags:
            raise ValueError(f"cache family {self.name}: without a tag nothing can make it stale")
        if not 0 < self.ttl_seconds <= self.hard_limit_seconds:
            raise ValueError(f"cache family {self.name}: ttl_seconds is above 0, at most hard_limit_seconds")
        if self.phi and (not self.scoped or self.patients is None):
            raise ValueError(f"cache family {self.name}: patient data is scoped and names its patients")
        if self.safety and self.serve_stale_seconds:
            raise ValueError(f"cache family {self.name}: a safety family is never served stale")
        said = {directive.strip() for directive in self.cache_control.split(",")}
        if not said & {"private", "no-store"} or "public" in said:
            raise ValueError(f"cache family {self.name}: cache_control says private or no-store")
        if (self.phi or self.safety) and not said & {"no-cache", "no-store"}:
            raise ValueError(
                f"cache family {self.name}: cache_control says no-cache or no-store, so that each use is "
                "checked and audited"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """Which tags a change of a table makes stale; compiled to statement-level triggers.

    Attributes:
        table: the table that is watched: inserts, updates, deletes, COPY, cascades, TRUNCATE.
        columns: only updates that change one of these count; None: every update. Inserts and deletes always do.
        tags: templates over the table's columns, filled from the old row and from the new.
        because: one sentence; it also says which writes need no invalidation, and why.
    """

    table: str
    columns: tuple[str, ...] | None = None
    tags: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who may: a scope (`"medications:read"`) and the roles that hold it. Routes name the scope they need."""

    scope: str
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _SCOPE.fullmatch(self.scope):
            raise ValueError(f"grant {self.scope!r}: a scope is written resource:action")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work in the background, run by `cito worker`, by one worker at a time.

    Attributes:
        name: unique; in records, metrics and `backgroundJobs`.
        run: `(context) -> None`; must be safe to run again.
        every_seconds: the pause between two runs.
        deadline_seconds: a run is cancelled after it.
    """

    name: str
    run: Callable[[Any], Awaitable[None]]
    every_seconds: float
    deadline_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_slug("job", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an operation (a route's operation id, or a query's name) promises; alerts and verdicts follow.

    Attributes:
        operation: the name in spans, metrics and reports.
        p95_ms: 95 of 100 calls answer within it.
        error_rate: share of 5xx answers that is still acceptable, 0 to 1.
        hit_rate: share of cache hits expected, 0 to 1; None: not cached.
    """

    operation: str
    p95_ms: float
    error_rate: float = 0.01
    hit_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A probe of `/ready`. `check(context)` returns None when well, else what is wrong, without any data."""

    name: str
    check: Callable[[Any], Awaitable[str | None]]
    timeout_ms: float = 500.0
    critical: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """Demo data. `load(connection, count, progress)` runs as the owner in one transaction.

    Attributes:
        name: what `cito seed` shows.
        load: gets an async psycopg connection, the count asked for (None: the default) and
            `progress(done, total)`; does nothing when its data are there.
        after: names of seeds, of any plugin, that come first; one that is not enabled is ignored.
    """

    name: str
    load: Callable[[Any, int | None, Callable[[int, int], None]], Awaitable[None]]
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A dashboard panel, vendor-neutral.

    Attributes:
        title: what a person reads above it.
        metric: the metric's name.
        unit: `ms`, `s`, `By`, `1` (a ratio) or `{thing}`, as in UCUM.
        statistic: `rate`, `p50`, `p95`, `p99`, `avg`, `max` or `last`.
        by: metric attributes that split it into series.
        row: panels of one row stand together.
    """

    title: str
    metric: str
    unit: str
    statistic: str
    by: tuple[str, ...] = ()
    row: str = "Domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Commands under `cito <plugin>`: `app` is a typer.Typer."""

    name: str
    app: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[Asked, Answered]):
    """Something that one domain asks and another answers, such as a patient's allergies.

    Has one owner (the library `plugins/clinical`), at most one answer, and nobody answering is a normal case.
    """

    name: str
    asked: type[Asked]
    answered: type[Answered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[Asked, Answered]):
    """A plugin's answer to a question. `provide(context, clinic_id, asked)` reads the primary."""

    question: Question[Asked, Answered]
    provide: Callable[[Any, UUID, Asked], Awaitable[Answered]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRules:
    """What a route demands and promises; `opt=rules(...)` of a Litestar handler.

    Attributes:
        scope: the scope a caller's role must hold.
        queries: most database queries one request may run; tests assert it, the record reports it.
        clinic: the caller's token must name a clinic.
        patient_data: reads or writes patient data: every answer is audited.
    """

    scope: str
    queries: int
    clinic: bool = True
    patient_data: bool = True


RULES_KEY = "cito"


def rules(
    scope: str, *, queries: int, clinic: bool = True, patient_data: bool = True
) -> dict[str, RouteRules]:
    """Return the `opt` of a route: `@get("/", operation_id="search_patients", opt=rules("patients:read", queries=1))`."""
    return {RULES_KEY: RouteRules(scope=scope, queries=queries, clinic=clinic, patient_data=patient_data)}
