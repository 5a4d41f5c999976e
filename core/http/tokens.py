"""Verifies tokens, once each: a token that held is known by its hash until it expires or is revoked."""

from __future__ import annotations

import base64
import binascii
import math
import re
import time
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import jwt
import msgspec

from cito.core.caller import Caller
from cito.core.errors import Unauthenticated
from cito.core.http.keys import Keys, load_keys
from cito.core.settings import AuthSettings, Settings, SettingsError

MAX_TOKEN_BYTES = 4_096
MAX_REMEMBERED = 10_000
LEEWAY_SECONDS = 5
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "role")
_NAME = re.compile(r"[!-~]{1,255}")
_ROLE = re.compile(r"[a-z][a-z_]{0,62}")


class TokenVerifier:
    """Turns a bearer token into a `Caller`.

    Args:
        auth: issuer and audience that a token must name.
        keys: what it must be signed with.
        now: seconds since the epoch; real time, whatever the application's clock says.
    """

    def __init__(self, auth: AuthSettings, keys: Keys, now: Callable[[], float] = time.time) -> None:
        self.keys = keys
        self._auth = auth
        self._now = now
        self._known: dict[bytes, Caller] = {}
        self._revoked: frozenset[str] = frozenset()

    def remembered(self, token: bytes) -> Caller | None:
        """Return who a token speaks for that held before, still does, and was not revoked; None: verify it."""
        caller = self._known.get(sha256(token).digest())
        return caller if caller is not None and self._now() < caller.expires_at else None

    def verify(self, token: bytes) -> Caller:
        """Return who the token speaks for.

        Raises:
            Unauthenticated: it does not hold; the reason is not told.
        """
        digest = sha256(token).digest()
        caller = self._known.get(digest)
        if caller is not None:
            if self._now() < caller.expires_at:
                return caller
            del self._known[digest]
        caller = self._verify_new(token)
        if len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[digest] = caller
        return caller

    def revoke(self, token_ids: Collection[str]) -> None:
        """Replace the set of revoked token ids; tokens known so far are forgotten where it names them."""
        self._revoked = frozenset(token_ids)
        gone = [digest for digest, caller in self._known.items() if caller.token_id in self._revoked]
        for digest in gone:
            del self._known[digest]

    def use_keys(self, keys: Keys) -> None:
        """Verify with other keys from now on, after a rotation: everything is verified anew."""
        self.keys = keys
        self._known.clear()

    def _verify_new(self, token: bytes) -> Caller:
        try:
            if len(token) > MAX_TOKEN_BYTES or _COMPACT.fullmatch(token) is None:
                raise Unauthenticated
            key = self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[self.keys.algorithm],
                audience=self._auth.audience,
                issuer=self._auth.issuer,
                # Times are checked below: by our clock, and stricter about what a number is.
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return self._caller(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated from None

    def _key_of(self, token: bytes) -> jwt.PyJWK:
        """Return the key that the header names, if the header is one that we would write."""
        head, _, signature = token.split(b".")
        if any(_decode(part, canonical=True) is None for part in (head, signature)):
            raise Unauthenticated
        header = msgspec.json.decode(_decode(head) or b"")
        if not isinstance(header, dict) or header.get("alg") != self.keys.algorithm:
            raise Unauthenticated
        # `crit` names extensions that must be understood; we understand none. Keys come from us, never from a token.
        if not header.keys().isdisjoint(("crit", "b64", "jwk", "jku", "x5c", "x5u", "zip", "enc")):
            raise Unauthenticated
        if str(header.get("typ", "JWT")).lower() not in ("jwt", "at+jwt"):
            raise Unauthenticated
        if "kid" not in header and len(self.keys.verifying) == 1:
            return next(iter(self.keys.verifying.values()))
        kid = header.get("kid")
        key = self.keys.verifying.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthenticated
        return key

    def _caller(self, claims: dict[str, Any]) -> Caller:
        now = self._now()
        issued, starts, expires = (_seconds(claims[name]) for name in ("iat", "nbf", "exp"))
        if not (issued - LEEWAY_SECONDS <= now and starts - LEEWAY_SECONDS <= now < expires):
            raise Unauthenticated
        subject, token_id, role = claims["sub"], claims["jti"], claims["role"]
        if not all(isinstance(text, str) for text in (subject, token_id, role)):
            raise Unauthenticated
        if not (_NAME.fullmatch(subject) and _NAME.fullmatch(token_id) and _ROLE.fullmatch(role)):
            raise Unauthenticated
        if token_id in self._revoked:
            raise Unauthenticated
        clinic = claims.get("clinic")
        if clinic is not None and (not isinstance(clinic, str) or str(UUID(clinic)) != clinic):
            raise Unauthenticated
        return Caller(
            subject=subject,
            role=role,
            clinic_id=None if clinic is None else UUID(clinic),
            token_id=token_id,
            expires_at=math.floor(expires),
        )


def _decode(part: bytes, *, canonical: bool = False) -> bytes | None:
    """Decode base64url without padding; None: undecodable, or one of several spellings of the same bytes."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return None
    if canonical and base64.urlsafe_b64encode(raw).rstrip(b"=") != part:
        return None
    return raw


def _seconds(value: object) -> float:
    """Return a NumericDate (RFC 7519); text, truth values and the infinite are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise Unauthenticated
    return value


def mint(
    settings: Settings,
    role: str,
    clinic: UUID | None,
    expires_seconds: int = 3_600,
    *,
    subject: str | None = None,
    now: Callable[[], float] = time.time,
) -> str:
    """Return a token signed with a development key.

    Args:
        settings: `auth` names issuer, audience and keys.
        role: see contract.md; not checked here.
        clinic: None for roles that have none.
        expires_seconds: its life.
        subject: the staff member; None: `dev-<role>`.
        now: seconds since the epoch.

    Raises:
        SettingsError: outside development, or where no private key is known.
    """
    if settings.environment != "development":
        raise SettingsError("tokens are minted in development only; in production the identity provider does")
    keys = load_keys(settings)
    if keys.signing is None:
        raise SettingsError("auth.jwks_file: holds public keys only; no token can be signed")
    kid, key = keys.signing
    issued = int(now())
    claims: dict[str, Any] = {
        "iss": settings.auth.issuer,
        "aud": settings.auth.audience,
        "sub": subject or f"dev-{role}",
        "jti": uuid4().hex,
        "iat": issued,
        "nbf": issued,
        "exp": issued + expires_seconds,
        "role": role,
    }
    if clinic is not None:
        claims["clinic"] = str(clinic)
    return jwt.encode(claims, key.key, algorithm=keys.algorithm, headers={"kid": kid})
