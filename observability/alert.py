"""What an alert is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Severity = Literal["page", "ticket"]


class Alert(msgspec.Struct, rename="camel"):
    """One alert; times in seconds since the epoch.

    Attributes:
        id: unique; the same from beginning to end, so that a receiver can join both messages.
        name, subject: the rule and what it is about: an operation, a family, a query's fingerprint.
        status: firing, then resolved.
        value, limit: what was measured and what was declared, in words.
        details: of a slow query: all that is known of it.
        held_at: when the condition last held.
    """

    id: str
    name: str
    subject: str
    severity: Severity
    status: Literal["firing", "resolved"]
    summary: str
    value: str
    limit: str
    started_at: float
    held_at: float
    ended_at: float | None = None
    details: dict[str, Any] = {}
