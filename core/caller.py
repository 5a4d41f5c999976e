"""Who is asking, as far as a verified token says. Nothing else in a request can change it."""

from __future__ import annotations

from uuid import UUID

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """The verified claims of a token.

    Attributes:
        subject: `sub`: the staff member's stable id at the issuer.
        role: one of the roles that grants name.
        clinic_id: the clinic the caller works for; None for roles that have none.
        token_id: `jti`, for revocation.
        expires_at: `exp`, seconds since the epoch.
    """

    subject: str
    role: str
    clinic_id: UUID | None
    token_id: str
    expires_at: int
