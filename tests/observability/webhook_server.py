"""A receiver of webhooks that keeps what it got, with the time, and can fail first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .answering import Handler, answering


@dataclass
class Received:
    at: float
    body: bytes
    headers: dict[str, str]

    @property
    def alert(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    url: str = ""
    refusals: list[int] = field(default_factory=list)  # how the next tries are answered; 204: taken
    retry_after: str = ""  # said with each refusal
    tries: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Taking(Handler):
        def take(self, body: bytes) -> None:
            got = Received(time.time(), body, {key.lower(): value for key, value in self.headers.items()})
            found.tries.append(got)
            status = found.refusals.pop(0) if found.refusals else 204
            if status == 204:
                found.taken.append(got)
            self.answer(status, found.retry_after if status != 204 else "")

    with answering(Taking) as port:
        found.url = f"http://127.0.0.1:{port}/alerts"
        yield found
