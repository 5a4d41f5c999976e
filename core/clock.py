"""Time as a dependency: injected, so that a test or a demonstration can choose it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Wall-clock and monotonic time of one process.

    Args:
        start: where the wall clock starts, with a zone; it runs on from there. None: the real time.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = timedelta(0) if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""
        return time.monotonic()
