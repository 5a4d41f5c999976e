from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from unittest import mock

import msgspec
import psycopg
import pytest

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.cli import main
from cito.core.database.migrations import migrate
from cito.core.embedded import Urls
from cito.core.http.keys import load_keys
from cito.core.http.tokens import TokenVerifier, mint
from cito.core.settings import AuthSettings, Settings, SettingsError


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def cito(home: Path, *arguments: str, **environment: str) -> Done:
    """Run `cito` in this process, as its script does."""
    out, err = io.StringIO(), io.StringIO()
    variables = {"CITO_HOME": str(home), "CITO_PLUGINS": "", **environment}
    with (
        mock.patch.dict(os.environ, variables),
        mock.patch.object(sys, "argv", ["cito", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        main()
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


def test_a_generated_key_set_and_its_public_half(tmp_path: Path) -> None:
    private, public = tmp_path / "private.json", tmp_path / "public.json"
    made = cito(
        tmp_path, "keys", "generate", "--algorithm", "ES256", "--file", str(private), "--public", str(public)
    )
    assert made.returncode == 0, made.stderr
    assert private.stat().st_mode & 0o777 == 0o600
    [shown] = msgspec.json.decode(public.read_bytes())["keys"]
    assert "d" not in shown
    signing = Settings(auth=AuthSettings(algorithm="ES256", jwks_file=private))
    verifying = Settings(auth=AuthSettings(algorithm="ES256", jwks_file=public))
    token = mint(signing, "auditor", None).encode()
    assert TokenVerifier(verifying.auth, load_keys(verifying)).verify(token).role == "auditor"
    with pytest.raises(SettingsError, match="public keys only"):
        mint(verifying, "auditor", None)


def test_a_key_set_is_never_overwritten_by_generate(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert cito(tmp_path, "keys", "generate", "--file", str(file)).returncode == 0
    before = file.read_bytes()
    again = cito(tmp_path, "keys", "generate", "--file", str(file))
    assert again.returncode == 2
    assert file.read_bytes() == before


def test_rotating_the_development_keys(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    old = mint(settings, "auditor", None).encode()
    rotated = cito(tmp_path, "keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    keys = load_keys(settings)
    assert len(keys.verifying) == 2
    assert TokenVerifier(settings.auth, keys).verify(old).role == "auditor"
    assert cito(tmp_path, "keys", "rotate", "--keep", "0").returncode == 0
    assert len(load_keys(settings).verifying) == 1


@pytest.mark.parametrize(
    "arguments",
    [("generate", "--algorithm", "HS999"), ("generate", "--algorithm", "HS256", "--public", "x.json")],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert cito(tmp_path, "keys", *arguments).returncode == 2


async def test_audit_verify_tells_a_whole_audit_from_a_broken_one(
    empty_database: Urls, tmp_path: Path
) -> None:
    await migrate(empty_database.owner, [("core", files("cito.sql") / "core")])
    settings = Settings(home=tmp_path)
    journal = Journal(tmp_path / "audit")
    for number in range(5):
        journal.write(
            Entry(
                1_795_000_000_000_000_000 + number,
                "staff-1",
                "nurse",
                None,
                "read",
                "success",
                "patients",
                None,
                (),
                f"request-{number}",
                "",
                None,
            )
        )
    journal.close()
    await Shipper(tmp_path / "audit", empty_database.app, audit_key(settings)).ship_all()
    where = {
        "CITO_DATABASE__URL": empty_database.app,
        "CITO_DATABASE__OWNER_URL": empty_database.owner,
        "CITO_CACHE__URL": empty_database.cache,
    }
    whole = await asyncio.to_thread(cito, tmp_path, "audit", "verify", "--json", **where)
    assert whole.returncode == 0, whole.stderr
    assert msgspec.json.decode(whole.stdout) == [{"rows": 7, "chains": 1, "open": 0, "faults": []}]
    with psycopg.connect(empty_database.admin) as admin:
        admin.execute("update cito.audit_event set actor = 'somebody-else' where sequence = 3")
    broken = await asyncio.to_thread(cito, tmp_path, "audit", "verify", **where)
    assert broken.returncode == 1
    assert "row 3.0 was changed" in broken.stdout
    nothing = await asyncio.to_thread(
        cito, tmp_path, "audit", "retention", "--months", "1", "--json", **where
    )
    assert nothing.returncode == 0, nothing.stderr
