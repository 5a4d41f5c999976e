"""Removes whole months of audit events once their time is over; a chain never crosses a month."""

from __future__ import annotations

from datetime import date, datetime

from cito.core.audit.store import Store, month_of


async def retire(
    database: Store, now: datetime, keep_months: int, *, dry_run: bool = False
) -> list[tuple[date, int]]:
    """Drop the partitions of months that ended more than `keep_months` months ago.

    Args:
        database: connected as the owner.
        now: the present moment.
        keep_months: whole months to keep besides the present one, at least 1.
        dry_run: only tell.

    Returns:
        Each removed month and about how many rows it held.

    Raises:
        ValueError: `keep_months` below 1.
    """
    if keep_months < 1:
        raise ValueError("at least one month is kept")
    today = month_of(now)
    months = today.year * 12 + today.month - 1 - keep_months
    oldest_kept = date(months // 12, months % 12 + 1, 1)
    removed = []
    for partition, month, rows in await database.months():
        if month < oldest_kept:
            if not dry_run:
                await database.remove_month(partition, month, rows)
            removed.append((month, rows))
    return removed
