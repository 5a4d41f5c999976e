"""The key that seals audit rows: without it, nobody can edit a row and make the chain fit again."""

from __future__ import annotations

import os
import secrets

from cito.core.settings import Settings, SettingsError

_BYTES = 32


def audit_key(settings: Settings) -> bytes:
    """Return the sealing key: `audit.key` (64 hex digits), or in development one made in `<home>/keys/`.

    Raises:
        SettingsError: no key outside development, or one that is no key.
    """
    text = settings.audit.key
    if text is None:
        if settings.environment != "development":
            raise SettingsError("audit.key: required outside development; `openssl rand -hex 32` makes one")
        path = settings.home / "keys" / "audit.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = path.with_name(f".audit.key.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(descriptor, secrets.token_hex(_BYTES).encode())
            os.close(descriptor)
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # another process was first
            finally:
                draft.unlink()
        text = path.read_text().strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise SettingsError("audit.key: 64 hex digits")
    return key
