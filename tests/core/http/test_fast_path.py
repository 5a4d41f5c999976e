"""What a memo answers, what it leaves to the long way, and what it holds."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import ref

import pytest

from cito.core.audit.journal import MOST_PATIENTS
from cito.core.cache.entry import DEAD, Entry
from cito.core.http.asgi import ASKED, RECORD
from cito.core.http.fastpath import FastPath
from cito.core.settings import Settings
from cito.core.telemetry import Record, What

from .hot import hot_app, hot_scope, local_entry


class Hot:
    """An application with one memo, and the request that it answers."""

    def __init__(self, home: Path) -> None:
        settings = Settings(home=home)
        self.entry: Entry[Any] = local_entry()
        self.app: FastPath = hot_app(settings, self.entry, ())
        for rate in (self.app._limits, self.app._limits._subjects, self.app._limits._clinics):
            rate._now = lambda: 1.0
        self.scope = hot_scope(settings)

    def scope_with(self, name: bytes, value: bytes) -> dict[str, Any]:
        headers = [*self.scope["headers"], (name, value)]
        return {**self.scope, "headers": headers}

    async def ask(self, scope: dict[str, Any]) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Any) -> None: ...

        await self.app(dict(scope), receive, send)


@pytest.fixture
async def hot(tmp_path: Path) -> Hot:
    made = Hot(tmp_path)
    await made.ask(made.scope)
    assert made.app.find(made.scope) is not None
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-clinic-id", b"01890000-0000-7000-8000-000000000002"),
        (b"x-purpose-of-use", b"TREAT"),
        (b"origin", b"https://elsewhere.test"),
        (b"accept-encoding", b"gzip"),  # another memo's
        (b"host", b"twice"),
    ],
)
async def test_what_the_long_way_looks_at_goes_there(hot: Hot, name: bytes, value: bytes) -> None:
    assert hot.app.find(hot.scope_with(name, value)) is None
    assert hot.app.find(hot.scope_with(b"x-other", value)) is not None


@pytest.mark.parametrize("scheme", [b"bearer ", b"Basic  ", b"", b"Bearer  "])
async def test_a_known_token_under_another_scheme_is_no_login(hot: Hot, scheme: bytes) -> None:
    headers = [
        (name, scheme + value[7:] if name == b"authorization" else value)
        for name, value in hot.scope["headers"]
    ]
    assert hot.app.find({**hot.scope, "headers": headers}) is None


@pytest.mark.parametrize(
    "change", [{"method": "HEAD"}, {"query_string": b"page=2"}, {"path": "/api/other"}, {"type": "websocket"}]
)
async def test_another_request_has_no_memo(hot: Hot, change: dict[str, Any]) -> None:
    assert hot.app.find({**hot.scope, **change}) is None


async def test_an_entry_that_ends_ends_its_memo(hot: Hot) -> None:
    plan = hot.entry.plan
    for holder, name in ((hot.entry, "check_at"), (plan, "vouched_until")):
        kept = getattr(holder, name)
        setattr(holder, name, DEAD)
        assert hot.app.find(hot.scope) is None
        setattr(holder, name, kept)
        assert hot.app.find(hot.scope) is not None


async def test_a_memo_keeps_neither_the_entry_nor_its_bytes(hot: Hot) -> None:
    """Else what the local tier lets go would live on, outside the bound of its bytes."""
    (memo,) = hot.app._memos.values()
    held = gc.get_referents(memo)
    assert isinstance(memo.entry, ref)
    assert memo.entry() is hot.entry
    assert hot.entry not in held
    assert all(one is not hot.entry.body for one in held)
    memo.entry = lambda: None  # type: ignore[assignment]  # as a weak reference answers then
    assert hot.app.find(hot.scope) is None


async def test_an_answer_for_which_more_was_read_has_no_memo(hot: Hot) -> None:
    """What else was read may change, and the answer with it, although the entry does not."""
    hot.app._memos.clear()
    record = Record("http")
    record.add(What.CACHE, "clinics", record.start_ns, code="local")
    events, scope = record.events, dict(hot.scope)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            scope[RECORD].events.extend(events)

    await hot.app(scope, receive, send)
    assert not hot.app._memos
    events.clear()
    await hot.app(dict(hot.scope), receive, send)
    assert len(hot.app._memos) == 1


async def test_memos_are_bounded(hot: Hot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cito.core.http.fastpath._MOST_MEMOS", 3)
    for number in range(5):
        coding = (b"accept-encoding", b"x-%d" % number)
        await hot.ask(hot.scope_with(*coding))
    assert [key[3] for key in hot.app._memos] == [b"x-2", b"x-3", b"x-4"]
    await hot.ask({**hot.scope_with(b"accept-encoding", b"x-3"), ASKED: True})  # the long way once more
    assert [key[3] for key in hot.app._memos] == [b"x-2", b"x-4", b"x-3"]


async def test_the_age_is_that_of_the_entry(hot: Hot) -> None:
    hot.entry.loaded_at -= 30
    hit = hot.app.find(hot.scope)
    assert hit is not None
    assert int(dict(hit.start["headers"])[b"age"]) >= 30


async def test_an_answer_that_nothing_has_changed_has_a_memo_too(hot: Hot) -> None:
    hot.app._memos.clear()
    await hot.ask(hot.scope_with(b"if-none-match", hot.entry.etag.encode()))
    assert hot.app.find(hot.scope) is not None


async def test_an_answer_of_more_patients_than_an_event_can_name_has_no_memo(hot: Hot) -> None:
    for others, remembered in ((MOST_PATIENTS - 1, 1), (MOST_PATIENTS, 0)):  # beside the path's own
        hot.app._memos.clear()
        hot.entry.patients = tuple(UUID(int=place) for place in range(others))
        await hot.ask(hot.scope)
        assert len(hot.app._memos) == remembered
