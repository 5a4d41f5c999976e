"""Revoked tokens and rotated keys, followed by every process twice a second."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from cito.core.context import Context
from cito.core.database.query import Query, Statement
from cito.core.declarations import rules
from cito.core.http.keys import load_keys
from cito.core.http.tokens import TokenVerifier
from cito.core.settings import Settings, SettingsError

FOLLOW_SECONDS = 0.5
REMEMBER_DAYS = 31  # longer than any token lives
_log = logging.getLogger("cito.http")


class NoParams(msgspec.Struct, frozen=True):
    """A query without parameters."""


class RevokedToken(msgspec.Struct, frozen=True):
    """One token that no longer holds."""

    token_id: str


class RevokeToken(msgspec.Struct, frozen=True):
    """Which token, and how long to remember it."""

    token_id: str
    days: int


class Revocation(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """The `jti` of a token that shall no longer hold."""

    token_id: Annotated[str, msgspec.Meta(pattern="^[!-~]+$", max_length=255, examples=["9f0c2f0e5d2a4c0b"])]


revoked_tokens = Query("revoked_tokens", NoParams, RevokedToken)
revoke_token = Statement("revoke_token", RevokeToken)


@post(
    "/admin/revocations",
    operation_id="revoke_token",
    summary="Revoke a token",
    description="The token stops working within a second, in every process.",
    tags=["administration"],
    status_code=204,
    opt=rules("admin:write", queries=1, clinic=False, patient_data=False),
)
async def revoke(data: JSONBody[Revocation], context: NamedDependency[Context]) -> None:
    """Make a token useless before it expires."""
    async with context.database.transaction(None) as transaction:
        await revoke_token.run(transaction, RevokeToken(data.token_id, REMEMBER_DAYS))


async def follow(context: Context, verifier: TokenVerifier) -> None:
    """Keep a verifier's revocations and keys current, until cancelled.

    While the database is away the last known revocations hold; nobody can revoke then either.
    """
    seen = _key_state(context.settings)
    while True:
        try:
            rows = await revoked_tokens.all(context.database.reader(None, primary=True), NoParams())
            verifier.revoke([row.token_id for row in rows])
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            _log.warning("revoked tokens could not be read: %s", type(error).__name__)
        now = _key_state(context.settings)
        if now != seen:
            try:
                verifier.use_keys(load_keys(context.settings))
                seen = now
            except SettingsError as error:
                _log.error("the changed key file is not used: %s", error)
        await asyncio.sleep(FOLLOW_SECONDS)


def _key_state(settings: Settings) -> Any:
    """Return what changes whenever the key file does."""
    path = settings.auth.jwks_file or settings.home / "keys" / "tokens.json"
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
