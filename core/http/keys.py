"""The keys that sign and verify tokens: from a secret, a JWKS file, or made for development.

A key file is a JSON Web Key Set (RFC 7517). The first key signs, all of them verify: a rotation puts a new key
in front and keeps the old ones for as long as the tokens that they signed may live.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from cito.core.settings import AuthSettings, Settings, SettingsError

DEVELOPMENT_FILE = "tokens.json"
MIN_SECRET_BYTES = 32
_KEY_TYPES = {"HS256": "oct", "RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "key_ops"})
_log = logging.getLogger("cito.http")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one algorithm.

    Attributes:
        algorithm: the only algorithm that a token may name.
        verifying: by key id; every key here is of the algorithm's type.
        signing: id and key that new tokens are signed with; None where only public keys are known.
    """

    algorithm: str
    verifying: Mapping[str, PyJWK]
    signing: tuple[str, PyJWK] | None


def load_keys(settings: Settings) -> Keys:
    """Return the configured keys; in development, without any, make one in `<home>/keys/` and say so.

    Raises:
        SettingsError: production without a key, a secret that is too short, an unusable file.
    """
    auth = settings.auth
    if auth.secret is not None:
        if len(auth.secret.encode()) < MIN_SECRET_BYTES:
            raise SettingsError(
                f"auth.secret: at least {MIN_SECRET_BYTES} bytes; `cito keys generate` makes one"
            )
        return _from_set(auth, {"keys": [_oct_key("secret", auth.secret.encode())]}, "auth.secret")
    if auth.jwks_file is not None:
        return _from_set(auth, _read(auth.jwks_file, "auth.jwks_file"), "auth.jwks_file")
    if settings.environment != "development":
        raise SettingsError("auth.secret or auth.jwks_file: one is required outside development")
    path = settings.home / "keys" / DEVELOPMENT_FILE
    if not path.exists():
        write_key_set(path, {"keys": [new_key(auth.algorithm)]}, replace=False)
        _log.warning("made a development key for tokens in %s; production needs its own", path)
    return _from_set(auth, _read(path, str(path)), str(path))


def public_jwk(jwk: dict[str, Any]) -> dict[str, Any]:
    """Return the public half of an asymmetric key, to be handed to those who verify; a secret has none and stays."""
    if jwk["kty"] == "oct":
        return jwk
    return {name: value for name, value in jwk.items() if name not in _PRIVATE_MEMBERS}


def new_key(algorithm: str) -> dict[str, Any]:
    """Return a new private JWK with a random id."""
    kid = secrets.token_hex(8)
    if algorithm == "HS256":
        return _oct_key(kid, secrets.token_bytes(32))
    # Only here: the asymmetric kinds take 20 ms to import.
    from cito.core.http.asymmetric import new_private_jwk  # noqa: PLC0415

    return {**new_private_jwk(algorithm), "kid": kid, "alg": algorithm, "use": "sig"}


def write_key_set(path: Path, key_set: dict[str, Any], *, replace: bool) -> None:
    """Write a key set that only its owner may read, whole or not at all.

    Args:
        path: where; its folder is made where missing.
        key_set: a JWKS.
        replace: False: a file that another process made in the meantime stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(key_set)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def read_key_set(path: Path) -> dict[str, Any]:
    """Return the JWKS in a file.

    Raises:
        SettingsError: it is not there, or is none.
    """
    return _read(path, str(path))


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
        if not isinstance(found, dict) or not isinstance(found.get("keys"), list) or not found["keys"]:
            raise SettingsError(f"{where}: not a JSON Web Key Set with at least one key")
    except OSError as error:
        raise SettingsError(f"{where}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError:
        raise SettingsError(f"{where}: not JSON") from None
    return found


def _oct_key(kid: str, secret: bytes) -> dict[str, Any]:
    from base64 import urlsafe_b64encode  # noqa: PLC0415 - only where a key is made

    text = urlsafe_b64encode(secret).rstrip(b"=").decode()
    return {"kty": "oct", "k": text, "kid": kid, "alg": "HS256", "use": "sig"}


def _from_set(auth: AuthSettings, key_set: dict[str, Any], where: str) -> Keys:
    """Keep the keys of the pinned algorithm; a key of another type can never verify a token."""
    verifying: dict[str, PyJWK] = {}
    signing: tuple[str, PyJWK] | None = None
    for jwk in key_set["keys"]:
        if not isinstance(jwk, dict) or jwk.get("kty") != _KEY_TYPES[auth.algorithm]:
            continue
        if jwk.get("alg", auth.algorithm) != auth.algorithm or jwk.get("use", "sig") != "sig":
            continue
        kid = jwk.get("kid")
        if not isinstance(kid, str) or not kid or kid in verifying:
            raise SettingsError(f"{where}: every key has a `kid` of its own")
        try:
            verifying[kid] = PyJWK(public_jwk(jwk), algorithm=auth.algorithm)
            if signing is None and ("d" in jwk or jwk["kty"] == "oct"):
                signing = (kid, PyJWK(jwk, algorithm=auth.algorithm))
        except (PyJWTError, ValueError, KeyError):
            raise SettingsError(f"{where}: key {kid} is unusable") from None
    if not verifying:
        raise SettingsError(f"{where}: holds no key for {auth.algorithm}")
    return Keys(auth.algorithm, verifying, signing)
