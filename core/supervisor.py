"""`cito serve`: starts every part in order, restarts what dies, and stops all of it in order.

Start: servers, then the relay, the API processes and the worker. Stop: intake and drain of the API, the worker,
the relay, then the servers. Each part is a process of its own with a pid file in `run/`.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

_BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS = 30.0  # a part that lived this long starts its backoff anew


class Process(Protocol):
    """A running child, as `subprocess.Popen` and `Forked` are."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """How it ended; None: it runs, or nobody has looked."""

    def poll(self) -> int | None:
        """Look, and return how it ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


@dataclass(slots=True)
class Part:
    """One supervised process.

    Attributes:
        name: of the pid file and of the log lines.
        start: starts it in a session of its own: Ctrl-C reaches the supervisor alone, which stops the parts in order.
        stop_seconds: how long it may take to finish what is in hand.
    """

    name: str
    start: Callable[[], Process]
    stop_seconds: float
    process: Process | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = field(default=0.0)


class Supervisor:
    """Runs parts until it is told to stop.

    Args:
        parts: in starting order; they are stopped in reverse.
        run: folder of the pid files.
        say: shows a line to the person at the terminal.
    """

    def __init__(self, parts: Sequence[Part], run: Path, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._run = run
        self._say = say
        self.stopping = False

    def start(self) -> None:
        """Start all parts."""
        for part in self._parts:
            self._spawn(part)

    @contextlib.contextmanager
    def heeding(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM in `stopping`; an exception in the midst of anything could get lost there."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def watch(self, *, poll_seconds: float = 0.1) -> None:
        """Restart parts that end, with backoff, until SIGINT or SIGTERM, or `stopping` already."""
        with self.heeding():
            while not self.stopping:
                for part in self._parts:
                    self._look_after(part)
                time.sleep(poll_seconds)

    def stop(self) -> None:
        """Stop all parts in order; kill what does not finish in its time."""
        for part in reversed(self._parts):
            if part.process is None:
                continue
            self._say(f"stopping {part.name}")
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGCONT)  # a stopped process could not hear what comes next
                part.process.terminate()
                try:
                    part.process.wait(part.stop_seconds)
                except subprocess.TimeoutExpired:
                    part.process.kill()
                    part.process.wait()
            (self._run / f"{part.name}.pid").unlink(missing_ok=True)

    def ended(self) -> list[str]:
        """Return the names of the parts that are not running."""
        return [part.name for part in self._parts if part.process is None or part.process.poll() is not None]

    def _spawn(self, part: Part) -> None:
        part.process = part.start()
        part.started = time.monotonic()
        (self._run / f"{part.name}.pid").write_text(str(part.process.pid))

    def _look_after(self, part: Part) -> None:
        assert part.process is not None
        if part.process.poll() is None:
            return
        now = time.monotonic()
        if not part.restart_at:
            part.failures = 0 if now - part.started > _STEADY_SECONDS else part.failures
            delay = _BACKOFF_SECONDS[min(part.failures, len(_BACKOFF_SECONDS) - 1)]
            part.failures += 1
            part.restart_at = now + delay
            self._say(f"{part.name} ended with {part.process.returncode}; starting it again in {delay:g} s")
        elif now >= part.restart_at:
            part.restart_at = 0.0
            self._spawn(part)
