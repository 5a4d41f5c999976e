"""Proves that the stored events are what was written: no row edited, missing, added or out of order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

from cito.core.audit.entry import CLOSED, OPENED, Row, row_number, seal
from cito.core.audit.store import Store

_EPOCH, _FAR = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Verdict:
    """What a verification found.

    Attributes:
        rows: how many rows were checked.
        chains: how many chains.
        open: chains whose writer still writes, or was killed and is not shipped yet.
        faults: one line each: chain, sequence, what is wrong.
    """

    rows: int = 0
    chains: int = 0
    open: int = 0
    faults: list[str] = field(default_factory=list)


async def verify(
    database: Store,
    key: bytes,
    *,
    writing: Collection[UUID] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Check every chain, and that every chain is there.

    Args:
        database: any role that sees all events.
        key: see `audit_key`.
        writing: chains whose journals are still on this node; only they may be without an end.
        progress: called with chains done and their number.
    """
    verdict = Verdict()
    removed = await database.removed_months()
    chains = await database.chains(_EPOCH, _FAR)
    opened_after: dict[UUID, UUID] = {}
    for done, chain in enumerate(chains):
        before = await _verify_chain(database, key, chain, chain in writing, verdict)
        if before is not None:
            opened_after[chain] = before
        if progress is not None:
            progress(done + 1, len(chains))
    known = {*chains, *writing}
    for chain, before in opened_after.items():
        if before not in known and _month(before) not in removed:
            verdict.faults.append(f"chain {before}: missing whole; chain {chain} was opened after it")
    verdict.chains = len(chains)
    return verdict


async def _verify_chain(
    database: Store, key: bytes, chain: UUID, writing: bool, verdict: Verdict
) -> UUID | None:
    """Check one chain; returns the chain that was opened before it on its node."""
    previous = b""
    before: UUID | None = None
    last: Row | None = None
    async for row, sealed, event_id in database.rows(chain):
        verdict.rows += 1
        whole = _follows(last, row)
        if last is None and whole and row.resource_id is not None:
            before = UUID(row.resource_id)
        if not whole:
            begins = "its beginning" if last is None else f"row {last.sequence}.{last.ordinal}"
            verdict.faults.append(
                f"chain {chain}: rows missing between {begins} and {row.sequence}.{row.ordinal}"
            )
        elif seal(key, previous, row) != sealed or row_number(row, sealed) != event_id.int:
            verdict.faults.append(f"chain {chain}: row {row.sequence}.{row.ordinal} was changed")
        previous, last = sealed, row
    if last is not None and last.action != CLOSED:
        if writing:
            verdict.open += 1
        else:
            verdict.faults.append(f"chain {chain}: its end is missing; the last row is {last.sequence}")
    return before


def _follows(last: Row | None, row: Row) -> bool:
    if last is None:
        return (row.sequence, row.ordinal, row.action) == (0, 0, OPENED)
    return (row.sequence, row.ordinal) in ((last.sequence, last.ordinal + 1), (last.sequence + 1, 0))


def _month(chain: UUID) -> date:
    """Return the month in which a chain was opened: its id is a UUIDv7."""
    return datetime.fromtimestamp((chain.int >> 80) / 1_000, UTC).date().replace(day=1)
