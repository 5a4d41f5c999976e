"""`cito prepare`: what a real PostgreSQL server needs once from its superuser."""

from __future__ import annotations

import sys
from typing import Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict

from cito.core.assembly import assemble_cito
from cito.core.commands.output import CHECK_FAILED, WRONG_USAGE, config_path, console, fail
from cito.core.database.roles import prepare_server, preparing_script
from cito.core.settings import EMBEDDED, DatabaseSettings


def prepare(
    context: typer.Context,
    admin: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="A superuser's postgresql:// URL; without one, the SQL is printed."
        ),
    ] = None,
) -> None:
    """Prepare a PostgreSQL server (15 or later), once: roles, database, extensions, for a superuser to run.

    The database and the two passwords are those of `database.url` (as cito_app) and `database.owner_url` (as
    cito_owner). Without URL, a script for psql is printed, to read or to hand to whoever is the superuser.
    """
    database = assemble_cito(config_path(context)).settings.database
    app, owner = _login(database, "url", "cito_app"), _login(database, "owner_url", "cito_owner")
    if admin is None:
        sys.stdout.write(preparing_script(app["dbname"]))
        return
    try:
        prepare_server(
            admin, database=app["dbname"], owner_password=owner["password"], app_password=app["password"]
        )
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        fail([f"PostgreSQL refuses: {error.diag.message_primary}"], CHECK_FAILED)
    console.print(
        f"{app['dbname']} is prepared; go on with `cito migrate`, `cito indexes apply`, `cito doctor`"
    )


def _login(database: DatabaseSettings, key: str, role: str) -> dict[str, str]:
    """Return the parts of one of the two URLs, which must name its role, a password and a database."""
    url: str | None = getattr(database, key)
    parts = conninfo_to_dict(url) if url and url != EMBEDDED else {}
    if parts.get("user") != role or not parts.get("password") or not parts.get("dbname"):
        fail([f"database.{key}: write postgresql://{role}:PASSWORD@HOST/DATABASE"], WRONG_USAGE)
    return {name: str(value) for name, value in parts.items()}
