"""The fast path: a read that was answered once the long way is answered again before routing.

A memo says: this token asked for this path and query, was found to be allowed, and the answer was this entry of the
local cache, the only thing that was read for it. It refers to the entry, weakly: what the local tier lets go is gone, bytes and all. A hit still asks
everything that can have changed since:

- the token: known to the verifier, so neither expired, revoked, nor signed with a key that was taken away;
- the entry: `check_at` (stamps, epoch, life, `valid_until`, hard limit) and `vouched_until` (the heartbeat);
- the board of the node: nothing is on it that this process has not taken in (the long way does);
- the rate limit, and how many requests are under way;
- the audit: its event is in the journal before the answer leaves.

Roles, grants, settings and switches are fixed for the life of a process, and a memo does not outlive it. Whatever
is out of the ordinary goes the long way, which is the same in every byte but the times.

`find` looks for an answer, `finish` accounts for it. Between them the server sends it: `cito.core.http.server` without
making a task of the request, any other ASGI server through `__call__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, TypeAlias
from weakref import ref

import msgspec

from cito.core.audit.entry import EntryTemplate
from cito.core.audit.journal import MOST_PATIENTS, Journal, JournalFullError
from cito.core.cache.entry import Entry
from cito.core.cache.observe import note_hit
from cito.core.caller import Caller
from cito.core.http.asgi import (
    ACCESS,
    ASKED,
    CALLER,
    ENTRY,
    HEADERS,
    RECORD,
    App,
    Message,
    Receive,
    Scope,
    Send,
)
from cito.core.http.audit import administers, make_entry
from cito.core.http.etag import HTTP_OK, NOT_MODIFIED, RawHeaders, choose_coding, coded, matches, unchanged
from cito.core.http.guard import CLINIC_HEADERS
from cito.core.http.headers import common_headers
from cito.core.http.limits import Limits
from cito.core.http.rates import Bucket
from cito.core.http.record import begin_trace
from cito.core.http.tokens import TokenVerifier
from cito.core.telemetry import Record

_MOST_MEMOS = 20_000
# Headers that the long way looks at and this one does not.
_ASIDE = frozenset((*CLINIC_HEADERS, b"x-purpose-of-use", b"origin"))
_MEMORABLE = frozenset((HTTP_OK, NOT_MODIFIED))
Key: TypeAlias = tuple[str, str, bytes, bytes]
"""Token id, path, query, and the content codings that the client takes."""


class Memo:
    """What was found the long way, and all of its answer that is the same each time.

    Attributes:
        buckets: what is left of the caller's rates.
        coding: which of the entry's bodies is sent.
        event: the audit's, but for its time and ids; None: this read is not audited.
        headers: of a 200, but for its age, ids and times.
        unchanged: the same of a 304.
    """

    __slots__ = (
        "buckets",
        "caller",
        "coding",
        "entry",
        "event",
        "headers",
        "operation",
        "route",
        "unchanged",
    )

    def __init__(self, key: Key, scope: Scope, buckets: tuple[Bucket, ...]) -> None:
        _, path, _, accepted = key
        caller, entry, access, record = scope[CALLER], scope[ENTRY], scope[ACCESS], scope[RECORD]
        self.caller: Caller = caller
        self.buckets = buckets
        self.entry: ref[Entry[Any]] = ref(entry)
        self.operation: str = record.operation
        self.route: str = record.route
        self.coding = choose_coding(entry, accepted)
        self.headers = _with_common(path, coded(entry, self.coding)[0])
        self.unchanged = _with_common(path, unchanged(entry))
        audited = access.rules.patient_data or administers(access.rules)
        self.event = EntryTemplate(make_entry(record, caller, access, "success")) if audited else None


def _with_common(path: str, own: RawHeaders) -> RawHeaders:
    return (*own, *common_headers(path, own))


class Hit(msgspec.Struct, gc=False):
    """An answer: the record to finish, the two messages to send, and what was hit when."""

    record: Record
    start: Message
    body: Message
    entry: Entry[Any]
    now: float


class FastPath:
    """The outermost ASGI layer.

    Args:
        app: the long way.
        verifier: remembers tokens that held.
        limits: of this process.
        journal: of this process.
        subscribers: the frozen tuple of `request_finished` hooks.
        sample_ratio: share of traces without a sampled parent that are sampled, 0 to 1.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: TokenVerifier,
        limits: Limits,
        journal: Journal,
        subscribers: Sequence[Callable[[Record], None]],
        sample_ratio: float,
    ) -> None:
        self._app = app
        self._remembered = verifier.remembered
        self._limits = limits
        self._journal = journal
        self._subscribers = tuple(subscribers)
        self._threshold = int(sample_ratio * (1 << 64))
        self._memos: dict[Key, Memo] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hit = None if ASKED in scope else self.find(scope)
        if hit is not None:
            try:
                await send(hit.start)
                await send(hit.body)
            finally:
                self.finish(hit)
            return
        path = scope.get("path", "")  # Litestar rewrites it
        await self._app(scope, receive, send)
        if ENTRY in scope:
            self._remember(path, scope)

    def find(self, scope: Scope) -> Hit | None:
        """Return the answer to a request, its audit event written; None: it goes the long way."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        given = scope["headers"]
        headers: dict[bytes, bytes] = dict(given)
        authorization = headers.get(b"authorization", b"")
        caller = self._remembered(authorization[7:])
        if caller is None:
            return None
        coding = headers.get(b"accept-encoding", b"")
        memo = self._memos.get((caller.token_id, scope["path"], scope["query_string"], coding))
        if memo is None:
            return None
        entry = memo.entry()
        if entry is None:
            return None
        plan = entry.plan
        now = plan.monotonic()
        if not (
            now < entry.check_at
            and now < plan.vouched_until
            and not plan.news()
            and memo.caller is caller
            and authorization.startswith(b"Bearer ")
            and len(headers) == len(given)  # none came twice
            and _ASIDE.isdisjoint(headers)
            and self._limits.take_at_once(memo.buckets)
        ):
            return None
        record = Record("http", memo.operation)
        begin_trace(record, headers, self._threshold)
        if memo.event is not None:
            event = memo.event.fill(record.started_at_ns, record.request_id, record.trace_id)
            try:
                self._journal.append(event, record.started_at_ns)
            except JournalFullError:
                return None  # the long way says so
        wished = headers.get(b"if-none-match")
        if wished is not None and matches(wished, entry.etag):
            record.status, constant, body = NOT_MODIFIED, memo.unchanged, b""
        else:
            record.status, constant, body = HTTP_OK, memo.headers, entry.coded[memo.coding][1]
        record.method = "GET"
        record.role = caller.role
        record.route = memo.route
        record.duration_ns = spent = perf_counter_ns() - record.start_ns
        traceparent = f"00-{record.trace_id}-{record.span_id}-0{int(record.sampled)}".encode()
        timing = b'cache;desc="local", db;desc="0";dur=0, total;dur=%.2f, traceparent;desc="%b"'
        sent = [
            *constant,
            (b"age", b"%d" % (now - entry.loaded_at)),
            (b"x-request-id", record.request_id.encode()),
            (b"traceparent", traceparent),
            (b"server-timing", timing % (spent / 1e6, traceparent)),
        ]
        return Hit(
            record,
            {"type": "http.response.start", "status": record.status, "headers": sent},
            {"type": "http.response.body", "body": body, "more_body": False},
            entry,
            now,
        )

    def finish(self, hit: Hit) -> None:
        """Count what was answered."""
        record = hit.record
        note_hit(hit.entry, hit.now, record)
        for subscriber in self._subscribers:
            subscriber(record)

    def _remember(self, path: str, scope: Scope) -> None:
        """Keep what the long way found, where it was a plain answer from the local cache."""
        caller, entry, access, record = scope[CALLER], scope[ENTRY], scope[ACCESS], scope[RECORD]
        if (
            scope["method"] != "GET"
            or entry.outcome != "local"
            or entry.not_modified
            or record.status not in _MEMORABLE
            or len(record.events) != 1  # it read something else, which may change although the entry does not
            or access.purpose is not None
            or len(access.patients) > MOST_PATIENTS
        ):
            return
        coding = scope[HEADERS].get(b"accept-encoding", b"")
        key = (caller.token_id, path, scope["query_string"], coding)
        memos = self._memos
        memos.pop(key, None)
        if len(memos) >= _MOST_MEMOS:
            del memos[next(iter(memos))]
        memos[key] = Memo(key, scope, self._limits.buckets_of(caller))
