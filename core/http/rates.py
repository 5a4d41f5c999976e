"""Rate limits that all processes share, without a round trip for each request.

Time is cut into windows of one second. In each, a process has a standing allotment of a tenth of the rate for each
caller; beyond it, it leases further tenths from a counter in the shared tier, the next one early, while the present
one lasts. So the whole deployment lets through the rate, and at most a tenth more for each further process. Without
the shared tier, each process holds the rate by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cito.core.cache.shared import SharedAway

WINDOW_SECONDS = 1
_LIFE_MS = 5_000
_PARTS = 10
_MAX_BUCKETS = 20_000
_NO_WINDOW = -1
Count = Callable[[str, int, int], Awaitable[int]]


class Bucket:
    """What one caller may still do in the present window, in this process.

    Attributes:
        window: the second since the epoch that it is for; others than the present mean that it must be filled.
        left: how many requests.
        reserve: down to here they are taken at once; whoever takes the next also leases more.
    """

    __slots__ = ("exhausted", "leased", "leasing", "left", "reserve", "window")

    def __init__(self) -> None:
        self.window = _NO_WINDOW
        self.left = 0
        self.reserve = 0
        self.leased = 0
        self.exhausted = False
        self.leasing: asyncio.Task[None] | None = None


class Rate:
    """One limit, such as requests of a subject.

    Args:
        name: keeps counters of several limits apart.
        per_second: what the whole deployment lets through.
        now: seconds, of a clock that all processes share roughly.
    """

    def __init__(self, name: str, per_second: float, now: Callable[[], float]) -> None:
        self._name = name
        self._rate = max(1, round(per_second * WINDOW_SECONDS))
        self._part = max(1, self._rate // _PARTS)
        self._reserve = self._part // 2
        self._now = now
        self._buckets: dict[object, Bucket] = {}
        self.count: Count = _alone

    def take(self, caller: object) -> Bucket | None:
        """Take one request out of a caller's bucket. A bucket is returned when it is empty: see `refill`."""
        window = int(self._now())
        bucket = self.bucket(caller)
        if bucket.window != window:
            bucket.window = window
            bucket.left = self._part
            bucket.reserve = self._reserve
            bucket.leased = 0
            bucket.exhausted = False
        if not bucket.left:
            return bucket
        if bucket.left <= bucket.reserve and bucket.leasing is None:
            bucket.reserve = 0
            bucket.leasing = asyncio.create_task(self._lease(caller, bucket))
        bucket.left -= 1
        return None

    def bucket(self, caller: object) -> Bucket:
        """Return a caller's bucket."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets.pop(
                    next(iter(self._buckets))
                ).window = _NO_WINDOW  # whoever holds it asks for another
            bucket = self._buckets[caller] = Bucket()
        return bucket

    async def refill(self, caller: object, bucket: Bucket) -> bool:
        """Wait for further requests and take one. False: the caller has had all there are in this window."""
        while not bucket.exhausted:
            if bucket.leasing is None:
                bucket.leasing = asyncio.create_task(self._lease(caller, bucket))
            await asyncio.shield(bucket.leasing)
            if bucket.left:
                bucket.left -= 1
                return True
            if bucket.window != int(self._now()):
                return self.take(caller) is None
        return False

    async def close(self) -> None:
        """End leases under way, before the shared tier is closed."""
        leasing = [bucket.leasing for bucket in self._buckets.values() if bucket.leasing is not None]
        for task in leasing:
            task.cancel()
        await asyncio.gather(*leasing, return_exceptions=True)

    async def _lease(self, caller: object, bucket: Bucket) -> None:
        """Add one part to a bucket, as far as the deployment's rate allows it."""
        window = bucket.window
        # The first lease of a window also reports the standing allotment.
        amount = self._part if bucket.leased else 2 * self._part
        try:
            total = await self.count(f"{self._name}:{caller}:{window}", amount, _LIFE_MS)
        except SharedAway:
            total = bucket.leased + amount
        finally:
            bucket.leasing = None
        if bucket.window != window:
            return
        bucket.leased += amount
        granted = max(0, min(self._part, self._rate - (total - self._part)))
        bucket.left += granted
        bucket.exhausted = granted == 0
        bucket.reserve = 0 if bucket.exhausted else self._reserve


async def _alone(*_: object) -> int:
    """Stand in for the shared counter until there is one."""
    raise SharedAway
