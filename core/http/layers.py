"""The layers between the server and the routes, and what of them lives as long as the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal, JournalFullError
from cito.core.audit.keys import audit_key
from cito.core.audit.store import store_directly
from cito.core.cache.shared import SharedTier
from cito.core.context import Context
from cito.core.embedded import Urls
from cito.core.http.asgi import RECORD, App, Scope
from cito.core.http.audit import Audited
from cito.core.http.auth import Authenticated
from cito.core.http.cors import CrossOrigin
from cito.core.http.fastpath import FastPath
from cito.core.http.keys import load_keys
from cito.core.http.limits import Limited, Limits
from cito.core.http.record import Recorded
from cito.core.http.revocation import follow
from cito.core.http.tokens import TokenVerifier
from cito.core.registry import Registry
from cito.core.settings import Settings
from cito.core.tasks import end

_REFUSALS_PER_SECOND = (
    50  # more in one second are counted in metrics only: nobody fills the journal without a token
)


class Layers:
    """FastPath -> Recorded -> Authenticated -> Limited -> Audited -> the application.

    Args:
        settings: keys, limits, where the journal lies.
        registry: subscribers of finished requests.
        urls: the database for events of writes while the journal's disk is full, the cache for shared rate limits.

    Raises:
        SettingsError: a key is missing outside development.
    """

    def __init__(self, settings: Settings, registry: Registry, urls: Urls) -> None:
        self.verifier = TokenVerifier(settings.auth, load_keys(settings))
        self.journal = Journal(settings.home / "audit")
        self.limits = Limits(settings.http)
        self._urls = urls
        self._origins = settings.http.cors_origins
        self._direct = partial(store_directly, urls.app, audit_key(settings))
        self._subscribers = registry.request_subscribers
        self._fast_path = settings.http.fast_path
        self._sample_ratio = settings.observability.sample_ratio
        self._refusals = 0
        self._refusals_since = 0.0

    def around(self, app: App) -> App:
        """Return the application behind all layers."""
        audited = Audited(app, self.journal, self._direct)
        limited = Limited(audited, self.limits)
        inner: App = Authenticated(limited, self.verifier, self._note_refusal)
        if self._origins:
            inner = CrossOrigin(inner, self._origins)
        recorded = Recorded(inner, self._subscribers, self._sample_ratio)
        if not self._fast_path:
            return recorded
        return FastPath(
            recorded,
            verifier=self.verifier,
            limits=self.limits,
            journal=self.journal,
            subscribers=self._subscribers,
            sample_ratio=self._sample_ratio,
        )

    @asynccontextmanager
    async def running(self, context: Context) -> AsyncIterator[None]:
        """Follow revocations and share rates for the length of a block, and close the journal's chain after it."""
        following = asyncio.create_task(follow(context, self.verifier))
        settings = context.settings.cache
        shared = SharedTier(self._urls.cache, context.cache.names, settings.deadline_ms / 1_000)
        if settings.enabled:
            self.limits.share(shared.count)
        try:
            yield
        finally:
            await end(following)
            await self.limits.close()
            await shared.close()
            self.journal.close()

    def _note_refusal(self, scope: Scope) -> None:
        """Write down that somebody came without a valid token."""
        now = time.monotonic()
        if now - self._refusals_since > 1:
            self._refusals, self._refusals_since = 0, now
        self._refusals += 1
        if self._refusals > _REFUSALS_PER_SECOND:
            return
        record = scope[RECORD]
        ids = (record.request_id, record.trace_id)
        entry = Entry(
            time.time_ns(), "anonymous", "", None, "authenticate", "refused", "api", None, (), *ids, None
        )
        with suppress(JournalFullError):  # nothing was shown
            self.journal.write(entry)
