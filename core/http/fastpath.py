"""The fast path: a read that was answered once the long way is answered again before routing.

A memo says: this token asked for this path and query, was found to be allowed, and the answer was this entry of the
local cache. It holds the entry, never a copy of its body. A hit still asks everything that can have changed since:

- the token: known to the verifier, so neither expired, revoked, nor signed with a key that was taken away;
- the entry: `check_at` (stamps, epoch, life, `valid_until`, hard limit) and `vouched_until` (the heartbeat);
- the rate limit, and how many requests are under way;
- the audit: its event is in the journal before the answer leaves.

Roles, grants, settings and switches are fixed for the life of a process, and a memo does not outlive it. Whatever
is out of the ordinary goes the long way, which is the same in every byte but the times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cito.core.audit.journal import Journal, JournalFullError
from cito.core.cache.entry import Entry
from cito.core.cache.observe import note_hit
from cito.core.caller import Caller
from cito.core.http.asgi import ACCESS, CALLER, ENTRY, RECORD, App, Receive, Scope, Send
from cito.core.http.audit import Access, administers, make_entry
from cito.core.http.etag import raw_answer
from cito.core.http.guard import CLINIC_HEADERS
from cito.core.http.headers import common_headers
from cito.core.http.limits import Limits
from cito.core.http.record import begin_trace, record_headers
from cito.core.http.tokens import TokenVerifier
from cito.core.telemetry import Record

_MOST_MEMOS = 20_000
# Headers that the long way looks at and this one does not.
_ASIDE = frozenset((*CLINIC_HEADERS, b"x-purpose-of-use", b"origin"))
_MEMORABLE = frozenset((200, 304))
Key = tuple[str, str, bytes, bytes]


class Memo:
    """What was found the long way."""

    __slots__ = ("access", "audited", "caller", "entry", "operation", "route")

    def __init__(self, caller: Caller, entry: Entry[Any], access: Access, record: Record) -> None:
        self.caller = caller
        self.entry = entry
        self.access = access
        self.audited = access.rules.patient_data or administers(access.rules)
        self.operation = record.operation
        self.route = record.route


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
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        given = scope["headers"]
        headers = dict(given)
        path = scope["path"]  # Litestar rewrites it
        caller = self._remembered(headers.get(b"authorization", b"")[7:])
        if caller is None:
            await self._app(scope, receive, send)
            return
        coding = headers.get(b"accept-encoding", b"")
        key = (caller.token_id, path, scope["query_string"], coding)
        memo = self._memos.get(key)
        if memo is not None:
            entry = memo.entry
            now = entry.plan.monotonic()
            if (
                now < entry.check_at
                and now < entry.plan.vouched_until
                and memo.caller is caller
                and len(headers) == len(given)
                and _ASIDE.isdisjoint(headers)
                and self._limits.in_flight < self._limits.max_in_flight
                and self._limits.take(caller)
            ):
                record = Record("http")
                begin_trace(record, headers, self._threshold)
                if self._audited(memo, record):
                    note_hit(entry, now, record)
                    await self._answer(memo, record, headers, path, send)
                    return
        await self._app(scope, receive, send)
        self._remember(key, caller, scope)

    def _audited(self, memo: Memo, record: Record) -> bool:
        """Write the event of this access, where it is one. False: there is no room; the long way says so."""
        if not memo.audited:
            return True
        try:
            self._journal.write(make_entry(record, memo.caller, memo.access, "success"))
        except JournalFullError:
            return False
        return True

    async def _answer(
        self, memo: Memo, record: Record, headers: dict[bytes, bytes], path: str, send: Send
    ) -> None:
        entry = memo.entry
        record.method = "GET"
        record.role = memo.caller.role
        record.operation = memo.operation
        record.route = memo.route
        status, raw, body = raw_answer(
            entry, headers.get(b"if-none-match"), headers.get(b"accept-encoding", b"")
        )
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [*raw, *common_headers(path, raw), *record_headers(record)],
                }
            )
            await send({"type": "http.response.body", "body": body, "more_body": False})
        finally:
            record.finish(status)
            for subscriber in self._subscribers:
                subscriber(record)

    def _remember(self, key: Key, caller: Caller, scope: Scope) -> None:
        """Keep what the long way found, where it was a plain answer from the local cache."""
        entry = scope.get(ENTRY)
        if entry is None or entry.outcome != "local" or scope.get(CALLER) is not caller:
            return
        access, record = scope[ACCESS], scope[RECORD]
        if record.status not in _MEMORABLE or access.purpose is not None:
            return
        memos = self._memos
        memos.pop(key, None)
        if len(memos) >= _MOST_MEMOS:
            del memos[next(iter(memos))]
        memos[key] = Memo(caller, entry, access, record)
