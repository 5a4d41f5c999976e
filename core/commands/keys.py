"""`cito keys`: make and rotate the keys that sign and verify tokens, and revoke single tokens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cito.core.assembly import assemble_cito
from cito.core.commands import output
from cito.core.commands.output import config_path, console, fail
from cito.core.http.keys import DEVELOPMENT_FILE, new_key, public_jwk, read_key_set, write_key_set

app = typer.Typer(help="The keys that sign and verify tokens.")


@app.command()
def generate(
    algorithm: Annotated[str, typer.Option(help="HS256, RS256, ES256 or EdDSA.")] = "ES256",
    file: Annotated[
        Path | None, typer.Option(help="Write the key set there, readable by its owner only; else to stdout.")
    ] = None,
    public: Annotated[
        Path | None, typer.Option(help="Write the public half there: what `auth.jwks_file` needs.")
    ] = None,
) -> None:
    """Make a new key, as a JSON Web Key Set."""
    _known(algorithm)
    key_set = {"keys": [new_key(algorithm)]}
    if file is not None and file.exists():
        fail([f"{file}: is there already; `cito keys rotate` adds a key to it"], output.WRONG_USAGE)
    _publish(key_set, public)
    if file is None:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(key_set)).decode() + "\n")
    else:
        write_key_set(file, key_set, replace=False)
        console.print(f"wrote {file}", highlight=False)


@app.command()
def rotate(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option(help="The key set; else the development keys in CITO_HOME.")
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Old keys that still verify; 0 ends all tokens signed before.")
    ] = 1,
    public: Annotated[Path | None, typer.Option(help="Write the public halves there.")] = None,
) -> None:
    """Put a new key in front: it signs from now on, the old ones verify until they are dropped.

    Running processes take the new set within a second.
    """
    path = file or assemble_cito(config_path(context)).settings.home / "keys" / DEVELOPMENT_FILE
    keys = read_key_set(path)["keys"]
    algorithm = keys[0].get("alg", "HS256")
    _known(algorithm)
    key_set = {"keys": [new_key(algorithm), *keys[:keep]]}
    write_key_set(path, key_set, replace=True)
    _publish(key_set, public)
    console.print(
        f"{path}: key {key_set['keys'][0]['kid']} signs, {len(keys[:keep])} older verify", highlight=False
    )


def _known(algorithm: str) -> None:
    if algorithm not in ("HS256", "RS256", "ES256", "EdDSA"):
        fail([f"{algorithm}: choose HS256, RS256, ES256 or EdDSA"], output.WRONG_USAGE)


def _publish(key_set: dict[str, list[dict[str, object]]], public: Path | None) -> None:
    if public is None:
        return
    if any(key["kty"] == "oct" for key in key_set["keys"]):
        fail(["--public: HS256 has no public half; use RS256, ES256 or EdDSA"], output.WRONG_USAGE)
    write_key_set(public, {"keys": [public_jwk(key) for key in key_set["keys"]]}, replace=True)
