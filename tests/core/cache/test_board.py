"""The board of a node: a commit is known to all its processes before its writer is answered."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from shelf import Shelf

from cito.core.cache import board
from cito.core.cache.board import Board, Note
from cito.core.tasks import end


class Heard:
    """A board with what it was told."""

    def __init__(self, folder: Path) -> None:
        self.notes: list[Note] = []
        self.misses = 0
        self.board = Board(folder, self.notes.extend, self._missed)

    def _missed(self) -> None:
        self.misses += 1

    def news(self) -> list[Note]:
        """What is heard by looking now."""
        self.notes.clear()
        self.board.look()
        return list(self.notes)


def note(number: int) -> Note:
    return Note(number, b"tag %d" % number, b"witness")


def test_everybody_hears_of_a_note_once_and_nobody_of_what_was_before_them(tmp_path: Path) -> None:
    one, two = Heard(tmp_path), Heard(tmp_path)
    one.board.tell([note(1), note(2)])
    three = Heard(tmp_path)
    assert (two.news(), two.news()) == ([note(1), note(2)], [])
    assert one.news() == three.news() == []
    three.board.tell([note(3)])
    two.board.tell([note(4)])
    assert sorted(one.news()) == [note(3), note(4)]
    assert (two.news(), three.news()) == ([note(3)], [note(4)])


def test_who_missed_notes_is_told_that_it_did(tmp_path: Path) -> None:
    one, two = Heard(tmp_path), Heard(tmp_path)
    one.board.tell([note(number) for number in range(1, 3000)])
    assert (two.news(), two.misses) == ([], 1)
    one.board.tell([note(7)])
    assert (two.news(), two.misses) == ([note(7)], 1)


def test_the_last_words_of_a_process_are_heard_and_its_ring_is_cleared_away_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Heard(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from cito.core.cache.board import Board, Note\n"
        "Board(Path(sys.argv[1]), print, print).tell([Note(0, b'last', b'w')]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    two = Heard(tmp_path)
    assert one.news() == [Note(0, b"last", b"w")]
    assert len(list(tmp_path.glob("*.ring"))) == 3
    monkeypatch.setattr(board, "_READ_BY_ALL_SECONDS", 0.0)
    Heard(tmp_path).board.close()
    assert len(list(tmp_path.glob("*.ring"))) == 2
    two.board.tell([note(5)])
    assert one.news() == [note(5)]


async def test_a_neighbour_reads_ones_write_though_the_push_has_not_been_read(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await two.warm()
        assert two.cache.feed is not None
        two.cache.feed._changed = lambda _names: None  # as if it lay in the socket
        await one.rename("new")
        assert await two.name() == "new"


async def test_a_neighbour_reads_ones_write_though_the_bump_failed(bare_shelf: Shelf) -> None:
    """The relay is gone too: nothing but the board tells of the write."""
    async with bare_shelf.relay() as relay, bare_shelf.process() as one, bare_shelf.process() as two:
        await two.warm()
        await end(relay)
        one.lose_bumps()
        await one.rename("mine")
        for _ in range(3):
            found = await two.get()
            assert (found.value.name, found.outcome) == ("mine", "bypass")


async def test_a_neighbour_that_missed_notes_believes_nothing_until_the_relay_vouches(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await two.warm()
        two.cache.missed()
        assert (await two.get()).outcome == "bypass"
        await two.warm()
        await one.rename("later")
        assert await two.name() == "later"


def test_the_pushes_of_a_bump_are_in_the_sockets_of_other_nodes_before_its_answer(shelf: Shelf) -> None:
    """The server writes to its clients in the reverse order of what it has for them: a write needs no second word."""
    path = urlsplit(shelf.urls.cache).path

    def connect(*hello: bytes) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        for line in hello:
            made.sendall(line)
            time.sleep(0.01)
            made.recv(4096)
        return made

    feeds = [connect(b"HELLO 3\r\n", b"CLIENT TRACKING ON BCAST PREFIX order:\r\n") for _ in range(4)]
    writer = connect()
    for number in range(200):
        writer.sendall(b"SET order:%d x PX 1000\r\n" % number)
        writer.recv(100)
        for feed in feeds:
            assert b"order:%d\r\n" % number in feed.recv(4096, socket.MSG_DONTWAIT)
    for each in (*feeds, writer):
        each.close()


def test_a_look_costs_next_to_nothing_where_nothing_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Heard(tmp_path)
    one.news()
    monkeypatch.setattr(os, "listdir", lambda _: pytest.fail("it looked at the folder"))
    one.news()
