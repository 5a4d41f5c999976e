"""Words between nodes: a write is answered once every node that listens knows of it, or after a while."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Connection, Redis
from shelf import Process, Shelf, far_process, tag, until
from valkey import stopped

from cito.core.cache import feed, words
from cito.core.cache.board import Board, Note
from cito.core.cache.feed import Feed
from cito.core.cache.keys import Names
from cito.core.cache.words import WordCounts, Words
from cito.core.settings import CacheSettings
from cito.core.telemetry import Record, What, current_record

PATIENT = {"max_staleness_seconds": 60.0}  # so that the local tier is believed for as long as a test needs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections of feeds, in the order in which they were made; none is given up however long it is not read."""
    monkeypatch.setattr(feed, "_CUT_AFTER_SECONDS", 60.0)
    made: list[Connection] = []
    listen = Feed._listen

    async def noted(self: Feed, connection: Connection) -> None:
        made.append(connection)
        await listen(self, connection)

    monkeypatch.setattr(Feed, "_listen", noted)
    return made


def transport(line: Connection) -> asyncio.ReadTransport:
    reader: Any = line._reader
    found: asyncio.ReadTransport = reader._transport
    return found


def counts(process: Process) -> WordCounts:
    assert process.cache.words is not None
    return process.cache.words.counts


async def nobody_waits(self: Words, number: int, _nodes: Sequence[bytes]) -> bool:
    """The defence removed."""
    self.unsaid(number)
    return True


@pytest.mark.parametrize("waits", [True, False], ids=["as it is", "nobody waits"])
async def test_a_write_is_answered_only_when_the_other_node_knows_of_it(
    shelf: Shelf, tmp_path: Path, lines: list[Connection], monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """The other node's process does not read its socket until it is told to."""
    if not waits:
        monkeypatch.setattr(Words, "confirmed", nobody_waits)
    async with (
        shelf.process() as one,
        shelf.elsewhere(tmp_path / "there").process(item=PATIENT) as far,
        Redis.from_url(shelf.urls.cache) as server,
    ):
        await far.warm()
        stamp = one.cache.names.tag(tag(shelf, 1))
        before = await server.get(stamp)
        transport(lines[1]).pause_reading()
        writing = asyncio.create_task(one.rename("new"))

        async def bumped() -> bool:
            return bool(await server.get(stamp) != before)

        await until(bumped)
        if not waits:
            await writing
            assert await far.name() == "one"  # a session that has gone on there misses its own write
            return
        found = await far.get()
        assert (found.outcome, found.value.name, writing.done()) == ("local", "one", False)
        transport(lines[1]).resume_reading()
        await writing
        assert await far.name() == "new"
        assert (counts(one).confirmed, counts(one).unconfirmed, counts(far).heard) == (1, 0, 1)


async def test_one_process_that_reads_tells_its_whole_node(
    shelf: Shelf, tmp_path: Path, lines: list[Connection]
) -> None:
    there = shelf.elsewhere(tmp_path / "there")
    async with shelf.process() as one, there.process(item=PATIENT) as busy, there.process() as idle:
        await busy.warm()
        transport(lines[1]).pause_reading()
        await one.rename("new")
        assert await busy.name() == await idle.name() == "new"
        transport(lines[1]).resume_reading()
        assert (counts(one).confirmed, counts(one).unconfirmed) == (1, 0)


async def test_on_one_node_nobody_is_told_and_nobody_waits(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Words, "confirmed", lambda *_: pytest.fail("it waits"))
    async with shelf.process() as one, shelf.process() as two:
        await one.rename("new")
        assert await two.name() == "new"
        for process in (one, two):
            assert counts(process) == WordCounts()
            assert process.cache.words is not None
            assert not process.cache.words._asked
        assert two.cache.words is not None
        assert [number for _, number in two.cache.words._known] == [1]  # from the board


async def test_a_bump_that_failed_is_said_and_no_answer_is_waited_for(shelf: Shelf) -> None:
    async with shelf.process() as one:
        one.lose_bumps()
        assert await written(one, "new") == "failed"
        assert one.cache.words is not None
        assert not one.cache.words._asked


async def test_a_read_there_that_began_before_the_word_is_kept_by_nobody(
    shelf: Shelf, tmp_path: Path
) -> None:
    """Also where neither push nor relay helps: its slot ends with the word."""
    async with shelf.process() as one, shelf.elsewhere(tmp_path / "there").process() as far:
        await far.warm()
        assert far.cache.feed is not None
        far.cache.feed._changed = lambda _names: None
        await one.rename("between")
        held, go = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            held.set()
            await go.wait()

        far.loader.after = hold
        reading = asyncio.create_task(far.get())
        await held.wait()
        await one.rename("new")
        far.loader.after = None
        assert await far.name() == "new"  # it does not join the read from before
        go.set()
        await reading
        assert await far.name() == "new"


async def test_a_commit_of_thousands_of_tags_is_one_word(shelf: Shelf, tmp_path: Path) -> None:
    async with shelf.process() as one, shelf.elsewhere(tmp_path / "there").process() as far:
        await far.warm()
        shelf.psql("update items set name = 'new'")
        await one.cache.committed([tag(shelf, number) for number in range(5000)])
        assert counts(far).heard == counts(one).confirmed == 1
        assert await far.name() == "new"


@asynccontextmanager
async def running(shelf: Shelf) -> AsyncIterator[int]:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=far_process, args=(shelf, ready), daemon=True)
    child.start()
    try:
        assert await asyncio.to_thread(ready.wait, 60)
        assert child.pid is not None
        yield child.pid
    finally:
        child.kill()
        child.join()


async def test_a_node_that_is_stopped_is_waited_for_once_a_second_and_is_told_again_when_it_goes_on(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[float] = []
    wait = Words._wait

    async def noted(self: Words, question: Any, loop: asyncio.AbstractEventLoop) -> None:
        bounds.append(question.until - loop.time())
        await wait(self, question, loop)

    monkeypatch.setattr(Words, "_wait", noted)
    monkeypatch.setattr(words, "_SILENT_SECONDS", 3600.0)
    settings = CacheSettings(deadline_ms=1_000)
    async with (
        running(shelf.elsewhere(tmp_path / "there")) as pid,
        shelf.process(cache=settings) as one,
    ):
        with stopped(pid):
            codes = [await written(one, str(number)) for number in range(5)]
            assert (codes, len(bounds)) == (["unconfirmed"] * 5, 1)
            assert bounds[0] <= 2 * settings.deadline_ms / 1000
            assert (counts(one).confirmed, counts(one).unconfirmed) == (0, 5)
        assert one.cache.words is not None
        one.cache.words._silent = dict.fromkeys(one.cache.words._silent, 0.0)  # a while later

        async def confirmed() -> bool:
            return await written(one, "again") == ""

        await until(confirmed)


async def written(process: Process, name: str) -> str:
    """Write; returns what the record says of its bump."""
    record = Record("http")
    token = current_record.set(record)
    try:
        await process.rename(name)
    finally:
        current_record.reset(token)
    (code,) = [event.code for event in record.events if event.what is What.BUMP]
    return code


async def test_without_its_feed_a_process_does_not_wait_for_answers_it_cannot_hear(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shelf.process() as one, shelf.elsewhere(tmp_path / "there").process() as far:
        assert one.cache.feed is not None
        await one.cache.feed.close()
        monkeypatch.setattr(Words, "_wait", lambda *_: pytest.fail("it waits"))
        assert await written(one, "new") == "unconfirmed"

        async def fresh() -> bool:
            return await far.name() == "new"

        await until(fresh)


def part(node: bytes, told: list[Note] | None = None, bound_seconds: float = 60.0) -> Words:
    """One process's part, without a feed: a test carries its words and answers."""
    names = Names(b"s" * 32, "test")
    return Words(
        names,
        node,
        names.witness_prefix + b"of " + node,
        tell=lambda notes: None if told is None else told.extend(notes),
        listening=lambda: True,
        bound_seconds=bound_seconds,
    )


async def test_every_node_is_waited_for_but_none_that_has_answered_already() -> None:
    one, nodes = part(b"1"), [part(b"2"), part(b"3"), part(b"4")]
    text = one.word(1, [b"tag"]).text
    early, next_one, last = [node._told(text)[1] for node in nodes]
    one._answered(early)
    waiting = asyncio.create_task(one.confirmed(1, [node._node for node in nodes]))
    await asyncio.sleep(0)
    one._answered(next_one)
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    one._answered(last)
    assert await waiting
    text = one.word(2, [b"tag"]).text
    one._answered(nodes[0]._told(text)[1])
    async with asyncio.timeout(30):
        assert await one.confirmed(2, [nodes[0]._node])
    assert not one._asked


async def test_a_process_that_was_paused_beyond_the_bound_looks_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "_GRACE_SECONDS", 60.0)
    one, other = part(b"1", bound_seconds=0.0), part(b"2")
    _, answer = other._told(one.word(1, [b"tag"]).text)
    waiting = asyncio.create_task(one.confirmed(1, [other._node]))
    await asyncio.sleep(0.01)  # it is over
    one._answered(answer)
    assert await waiting


def test_a_word_is_put_on_the_board_once_however_many_hear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_REMEMBERED", 2)
    told: list[Note] = []
    other = part(b"2", told)

    def tell(number: int) -> list[int]:
        told.clear()
        text = words._encode(words._Text(number, b"w", b"a", [b"tag"]))
        other._told(text)
        return [note.number for note in told]

    assert (tell(1), tell(1)) == ([1], [])
    other.heard([Note(2, b"tag", b"w")])  # another process of the node has read it
    assert tell(2) == []
    assert (tell(3), tell(2), tell(1)) == ([3], [], [1])  # of so many it is known


def test_a_node_is_who_shares_the_memory_of_its_board(tmp_path: Path) -> None:
    def node(folder: Path) -> bytes:
        board = Board(folder, print, print)  # type: ignore[arg-type]
        board.close()
        return board.node

    here = tmp_path / "here"
    assert node(here) == node(here)
    shutil.copytree(here, tmp_path / "copied")
    assert node(tmp_path / "copied") != node(here)


async def test_a_word_that_nobody_can_read_cuts_no_feed(shelf: Shelf, tmp_path: Path) -> None:
    """As one of another version of Cito; it is not answered, either: its writer may not believe that it is known."""
    async with (
        shelf.process() as one,
        shelf.elsewhere(tmp_path / "there").process() as far,
        Redis.from_url(shelf.urls.cache) as server,
    ):
        assert one.cache.words is not None
        assert far.cache.words is not None
        for channel in (*one.cache.words.channels, *far.cache.words.channels):
            for text in (b"", b"\xc1", b"\x93\x01\xa1a", b"\x94\x01\x02\x03\x04"):
                await server.execute_command("SPUBLISH", channel, text)
        await one.rename("new")
        assert await far.name() == "new"
        for process in (one, far):
            assert process.cache.feed is not None
            assert process.cache.feed.cuts == 0
        assert (counts(one).confirmed, counts(one).unconfirmed, counts(far).heard) == (1, 0, 1)


async def test_a_process_that_nobody_reads_through_forgets_what_it_was_told_once_it_is_vouched_for(
    shelf: Shelf, tmp_path: Path
) -> None:
    async with shelf.process() as one, shelf.elsewhere(tmp_path / "there").process() as idle:
        await one.cache.committed([tag(shelf, number) for number in range(100)])
        assert counts(idle).heard == 1
        bumps = idle.cache._resolver.bumps

        async def forgotten() -> bool:
            return not bumps.recent()

        await until(forgotten, 20)


@pytest.mark.parametrize("noted", [1, 2], ids=["half of it", "all of it"])
async def test_a_neighbour_that_dies_while_it_tells_its_node_leaves_nobody_uninformed(
    shelf: Shelf, tmp_path: Path, lines: list[Connection], monkeypatch: pytest.MonkeyPatch, noted: int
) -> None:
    """Notes of it are on the board, and nobody has been made to look; another process has happened to see them."""
    shelf.psql("insert into items (clinic_id, id, name) values (%s, 2, 'one')", shelf.clinic)
    there = shelf.elsewhere(tmp_path / "there")
    async with (
        shelf.process() as one,
        there.process() as dying,
        there.process() as whole,
        there.process(item=PATIENT) as busy,
    ):
        for id_ in (1, 2):
            await busy.warm(id_)
        told = asyncio.Event()

        def not_done(notes: Sequence[Note]) -> None:
            assert dying.cache.board is not None
            for note in notes[:noted]:
                dying.cache.board._own.write(note)
            told.set()
            raise ConnectionError

        assert dying.cache.words is not None
        assert whole.cache.board is not None
        monkeypatch.setattr(dying.cache.words, "_tell", not_done)
        for line in lines[2:]:
            transport(line).pause_reading()
        shelf.psql("update items set name = 'new'")
        writing = asyncio.create_task(one.cache.committed([tag(shelf, 1), tag(shelf, 2)]))
        await told.wait()
        whole.cache.board._take()
        transport(lines[2]).resume_reading()
        await writing
        assert [await busy.name(id_) for id_ in (1, 2)] == ["new", "new"]
        assert (counts(one).confirmed, counts(whole).heard, counts(busy).heard) == (1, 1, 0)
