"""Words between nodes: a commit is known on every node before its writer is answered.

The board reaches the processes of the writer's own node. For the others the bump itself carries a word: the script
that sets the stamps publishes it to each other node that listens, in the same round trip, and returns which these are.
There the first process that reads it puts it on its node's board, so that every read of that node knows of it, also
through a process that is stopped or busy; and answers. The writer waits for one answer of each node.

It does not wait long, and a node that has not answered in time is not waited for again for a while: it may be stopped,
or cut off. What holds there then is what holds without words: `max_staleness_seconds`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from cito.core.cache.board import Note
from cito.core.cache.keys import Names

_SILENT_SECONDS = 1.0
_GRACE_SECONDS = 0.002
_REMEMBERED = 4096
"""Words that one process knows to have been on the board already; one more is put there again, which costs misses."""


class Word(NamedTuple):
    """What a bump says to other nodes.

    Attributes:
        channels: what the names of all nodes' channels begin with.
        own: the channel of the writer's node, which its board tells.
        text: for the others.
    """

    channels: bytes
    own: bytes
    text: bytes


NO_WORD = Word(b"", b"", b"")


class _Text(msgspec.Struct, array_like=True, frozen=True):
    """A commit's bump: its number and witness, where to answer, the names of its tags."""

    number: int
    witness: bytes
    answer_to: bytes
    tags: list[bytes]


class _Answer(msgspec.Struct, array_like=True, frozen=True):
    """A node has a word."""

    number: int
    node: bytes


class _Question:
    """A word that was sent, and the nodes that have answered so far."""

    __slots__ = ("answered", "awaited", "done", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.answered: set[bytes] = set()
        self.awaited: frozenset[bytes] = frozenset()
        self.done: asyncio.Future[None] | None = None


class WordCounts(msgspec.Struct):
    """Commits of one process that other nodes were told of: known there in time, or not; words that it has heard."""

    confirmed: int = 0
    unconfirmed: int = 0
    heard: int = 0


class Words:
    """One process's part in it.

    Args:
        names: of channels.
        node: identifies the node of this process.
        witness: of this process's bumps; it identifies the process.
        tell: told of the commits of other nodes; when it returns, every read of this node knows of them.
        listening: whether answers can be heard.
        bound_seconds: no write waits longer, its bump included.
    """

    def __init__(
        self,
        names: Names,
        node: bytes,
        witness: bytes,
        *,
        tell: Callable[[Sequence[Note]], None],
        listening: Callable[[], bool],
        bound_seconds: float,
    ) -> None:
        self._channels = names.node_prefix
        self._node = names.node_prefix + node
        self._own = names.answer_prefix + witness.removeprefix(names.witness_prefix)
        self._witness = witness
        self._tell = tell
        self._listening = listening
        self._bound = bound_seconds
        self._asked: dict[int, _Question] = {}
        self._silent: dict[bytes, float] = {}
        self._known: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self.channels = {self._node: self._told, self._own: self._answered}
        self.counts = WordCounts()

    # -- the writer ---------------------------------------------------------------------------------------

    def word(self, number: int, tags: Sequence[bytes]) -> Word:
        """Return the word that goes with a bump; `unsaid` must follow, or `confirmed`."""
        self._asked[number] = _Question(asyncio.get_running_loop().time() + self._bound - _GRACE_SECONDS)
        text = _encode(_Text(number, self._witness, self._own, list(tags)))
        return Word(self._channels, self._node, text)

    def unsaid(self, number: int) -> None:
        """Forget a word that nobody was told: there is no other node, or the bump failed."""
        del self._asked[number]

    async def confirmed(self, number: int, nodes: Sequence[bytes]) -> bool:
        """Wait until these nodes know of a bump, as long as it is worth it; returns whether they do.

        Answers may have come before the shared tier's own.
        """
        question = self._asked[number]
        loop = asyncio.get_running_loop()
        now = loop.time()
        missing = frozenset(nodes) - question.answered
        try:
            if missing and self._listening():
                question.awaited = frozenset(node for node in missing if self._silent.get(node, now) <= now)
                if question.awaited:
                    await self._wait(question, loop)
                missing -= question.answered
                self._fell_silent(question.awaited - question.answered, loop.time())
        finally:
            del self._asked[number]
        if missing:
            self.counts.unconfirmed += 1
        else:
            self.counts.confirmed += 1
        return not missing

    def _fell_silent(self, nodes: frozenset[bytes], now: float) -> None:
        if nodes:
            self._silent = {node: until for node, until in self._silent.items() if until > now}
            self._silent |= dict.fromkeys(nodes, now + _SILENT_SECONDS)

    async def _wait(self, question: _Question, loop: asyncio.AbstractEventLoop) -> None:
        done = question.done = loop.create_future()
        timer = loop.call_at(question.until, self._give_up_soon, done, loop)
        try:
            await asyncio.wait([done])
        finally:
            timer.cancel()

    @staticmethod
    def _give_up_soon(done: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> None:
        """End the wait, but not before this process has looked once more: after a pause of its own the answers are there."""
        loop.call_later(_GRACE_SECONDS, done.cancel)

    def _answered(self, text: bytes) -> None:
        try:
            answer = _decode_answer(text)
        except msgspec.DecodeError:
            return
        question = self._asked.get(answer.number)
        if question is not None:
            question.answered.add(answer.node)
            if question.done and not question.done.done() and question.awaited <= question.answered:
                question.done.set_result(None)

    # -- the others ---------------------------------------------------------------------------------------

    def heard(self, notes: Sequence[Note]) -> None:
        """Take in what is on the board of this node: of that, its reads know."""
        for number, tag, witness in notes:
            self._known[witness, number] = tag
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _told(self, text: bytes) -> tuple[bytes, bytes] | None:
        """Take in a word; returns where to answer, and what. One of another version is not answered."""
        try:
            word = _decode_word(text)
        except msgspec.DecodeError:
            return None
        self.counts.heard += 1
        notes = [Note(word.number, tag, word.witness) for tag in word.tags]
        # A neighbour that put them on the board may have ended on the way: they are all there if the last one is,
        # and the others of this node look only when they are made to.
        there = self._known.get((word.witness, word.number)) in word.tags[-1:]
        self._tell([] if there else notes)
        self.heard(notes)
        return word.answer_to, _encode(_Answer(word.number, self._node))


_encode = msgspec.msgpack.Encoder().encode
_decode_word = msgspec.msgpack.Decoder(_Text).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode
