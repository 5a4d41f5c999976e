"""The real server in front of the fast path: many answered at a time, all on the loop, each written down once."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cito.core.audit.entry import Entry, EntryTemplate, decode_entry, encode_entry
from cito.core.audit.segment import FIRST, SUFFIX, Segment
from cito.core.http.asgi import ASKED
from cito.core.http.fastpath import FastPath
from cito.core.http.server import Intake, Server, settled
from cito.core.settings import Settings
from cito.core.telemetry import Record

from .hot import CLINIC, PATH, PATIENT, hot_app, hot_scope, local_entry


class Served:
    """A served application, and what it told of its requests."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.records: list[Record] = []
        self.counted_on: set[int] = set()
        self.found_on: set[int] = set()
        self.hits = 0
        self.entry = local_entry()
        self.app: FastPath = hot_app(self.settings, self.entry, (self._record,))
        self.headers = {name.decode(): value.decode() for name, value in hot_scope(self.settings)["headers"]}
        find = self.app.find

        def noted(scope: Any) -> Any:
            hit = find(scope)
            if hit is not None:
                self.hits += 1
                self.found_on.add(threading.get_ident())
            return hit

        self.app.find = noted  # type: ignore[method-assign]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def _record(self, record: Record) -> None:
        self.records.append(record)
        self.counted_on.add(threading.get_ident())

    def ask(self, times: int, **headers: str) -> list[tuple[int, bytes]]:
        """Ask over one connection, on a thread of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        found = []
        for _ in range(times):
            connection.request("GET", PATH, headers={**self.headers, **headers})
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
        connection.close()
        return found

    def events(self) -> list[Entry]:
        found = []
        for path in (self.settings.home / "audit").glob(f"*{SUFFIX}"):
            segment = Segment.open(path)
            found += [decode_entry(payload) for payload, _ in segment.read(FIRST)]
            segment.close()
        return [one for one in found if one.actor != "cito"]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path)
    serving = Server(served.app, address="127.0.0.1", port=served.port)
    task = asyncio.create_task(serving.serve())
    for _ in range(500):
        try:
            await asyncio.to_thread(served.ask, 2)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            break
    yield served
    serving.stop()
    await task
    assert len(served.records) == len(served.events()), "what was answered was not counted before the end"


async def test_hits_are_found_and_counted_on_the_loop(served: Served) -> None:
    (one,) = await asyncio.to_thread(served.ask, 1)
    assert one == (200, served.entry.body)
    assert served.found_on == served.counted_on == {threading.get_ident()}
    assert [record.cache for record in served.records][-1] == "local"


async def test_while_it_serves_the_collector_leaves_the_application_alone(served: Served) -> None:
    assert gc.get_freeze_count() > len(gc.get_objects())
    (one,) = await asyncio.to_thread(served.ask, 1)
    assert one[0] == 200


def test_afterwards_the_collector_is_as_it_was() -> None:
    before = gc.get_threshold()
    with settled():
        assert gc.get_threshold() > before
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


async def test_both_ways_at_once_write_each_event_whole_and_once(served: Served) -> None:
    before, hits = len(served.events()), served.hits
    answers = await asyncio.gather(
        *(asyncio.to_thread(served.ask, 40) for _ in range(4)),
        *(asyncio.to_thread(served.ask, 40, **{"X-Purpose-Of-Use": "TREAT"}) for _ in range(2)),
    )
    assert {one for many in answers for one in many} == {(200, served.entry.body)}
    assert served.hits > hits + 100
    events = served.events()[before:]
    assert len(events) == 6 * 40
    assert len({event.request_id for event in events}) == len(events)
    assert sum(event.purpose == "TREAT" for event in events) == 2 * 40
    assert {(event.actor, event.clinic_id, event.patients) for event in events} == {
        ("dev-nurse", CLINIC, (PATIENT,))
    }


async def test_a_fast_path_that_fails_leaves_the_answer_to_the_long_way(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    served.app._memos = type("Broken", (dict,), {"get": broken})()
    (one,) = await asyncio.to_thread(served.ask, 1)
    assert one == (200, served.entry.body)
    assert "the fast path failed" in caplog.text
    assert "secret" not in caplog.text


class Asked:
    """A request as Granian gives it; it says what became of it."""

    def __init__(self, told: list[str], name: str, send: Callable[[Any], None] = lambda _: None) -> None:
        self.scope: dict[str, Any] = {"path": name}
        self.proto = SimpleNamespace(send=send)
        self.done = lambda: told.append(f"{name} done")
        self.err = lambda error: told.append(f"{name} {type(error).__name__}")
        self.taskref = lambda _: told.append(f"{name} a task")


def test_the_loop_is_woken_once_for_all_that_wait_and_one_that_fails_stops_no_other() -> None:
    told: list[str] = []
    counted: list[str] = []
    woken: list[Callable[[], None]] = []
    loop = SimpleNamespace(
        call_soon_threadsafe=lambda answer, context: woken.append(answer), create_task=lambda _: None
    )

    def find(scope: dict[str, Any]) -> Any:
        return None if scope["path"] == "long" else SimpleNamespace(start={}, body={}, name=scope["path"])

    def gone(_: object) -> None:
        raise RuntimeError

    path = SimpleNamespace(find=find, finish=lambda hit: counted.append(hit.name))
    intake = Intake(loop, copy_context(), path, lambda _: None)  # type: ignore[arg-type,return-value]
    asked = [Asked(told, "one"), Asked(told, "gone", gone), Asked(told, "long"), Asked(told, "two")]
    for one in asked:
        intake(one)
    assert (len(woken), told) == (1, [])
    woken[0]()
    assert told == ["one done", "gone RuntimeError", "long a task", "two done"]
    assert counted == ["one", "gone", "two"]
    assert [ASKED in one.scope for one in asked] == [False, False, True, False]
    intake(asked[0])
    assert len(woken) == 2


texts = st.text(max_size=10)


@given(
    st.builds(
        Entry,
        st.integers(0, 1 << 62),
        texts,
        texts,
        st.none() | st.uuids(),
        texts,
        texts,
        texts,
        st.none() | texts,
        st.lists(st.uuids(), max_size=3).map(tuple),
        st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True),
        st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        st.none() | texts,
    )
)
def test_a_filled_template_is_the_encoded_entry(entry: Entry) -> None:
    template = EntryTemplate(entry)
    assert template.fill(entry.occurred_ns, entry.request_id, entry.trace_id) == encode_entry(entry)
