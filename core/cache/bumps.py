"""What is known of recent bumps: a commit's new stamps, until the relay has vouched for the commit.

A shared tier that fails over may lose stamps that it has acknowledged, and then the writer's own next read would be
stale. So each bump leaves a witness beside the stamps, and reads ask for it while the bump is recent. Where the
witness is gone, or the bump failed in the first place, its tags are in doubt: reads of them go to the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Bump(NamedTuple):
    """A bump that was acknowledged: when at the earliest, where its witness is, and its number there."""

    since: float
    witness: bytes
    number: int


Ranges = Mapping[bytes, tuple[int, int]]
"""By witness: first and last number of the bumps that the shared tier has without a gap."""


class Bumps:
    """The recent bumps of this process, of the others on its node, and of the nodes whose words it has heard."""

    def __init__(self) -> None:
        self._doubted: dict[bytes, float] = {}
        self._all_doubted = float("-inf")
        self._recent: dict[bytes, Bump] = {}

    def failed(self, tags: Iterable[bytes], since: float) -> None:
        """Doubt tags whose bump failed, of a commit after `since` (monotonic seconds)."""
        self._doubted.update(dict.fromkeys(tags, since))

    def missed(self, since: float) -> None:
        """Doubt every tag: bumps of others before `since` are not known."""
        self._all_doubted = since

    def made(self, tags: Iterable[bytes], bump: Bump) -> None:
        """Remember an acknowledged bump of these tags."""
        self._recent.update(dict.fromkeys(tags, bump))

    def recent(self) -> dict[bytes, Bump]:
        """Return what a read that begins now must see the witness of, by tag."""
        return dict(self._recent)

    def confirm(self, asked: Mapping[bytes, Bump], found: Ranges, as_of: float) -> None:
        """Forget bumps that the relay has vouched for; doubt those that the shared tier has lost.

        Args:
            asked: what was recent when the read began.
            found: what the shared tier had then.
            as_of: what was committed before has been vouched for.
        """
        for tag, bump in asked.items():
            first, last = found[bump.witness]
            if not first <= bump.number <= last:
                self._doubted[tag] = max(bump.since, self._doubted.get(tag, bump.since))
            elif bump.since >= as_of:
                continue
            if self._recent.get(tag) is bump:
                del self._recent[tag]

    def vouched(self, as_of: float) -> None:
        """Forget what the relay has vouched for: also where nobody reads, and a process is only told."""
        self._recent = {tag: bump for tag, bump in self._recent.items() if bump.since >= as_of}
        self._doubted = {tag: since for tag, since in self._doubted.items() if since >= as_of}

    def in_doubt(self, tags: Iterable[bytes], as_of: float) -> bool:
        """Whether a bump of one of the tags was lost and the relay has not made up for it yet."""
        if as_of <= self._all_doubted:
            return True
        if not self._doubted:
            return False
        for tag in tags:
            since = self._doubted.get(tag)
            if since is not None:
                if as_of <= since:
                    return True
                del self._doubted[tag]
        return False
