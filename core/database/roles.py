"""Prepares a PostgreSQL server for Cito: roles, database, extensions. Needs a superuser, once."""

from __future__ import annotations

import re
from importlib.resources import files

import psycopg
from psycopg import sql

_BLOCK = re.compile(r"^-- name: (\w+)\(\)$", re.MULTILINE)


def prepare_server(admin_url: str, *, owner_password: str, app_password: str) -> None:
    """Create what is missing of Cito's roles, its database and its extensions.

    Args:
        admin_url: a superuser's URL, its path naming the database to create.
        owner_password: the password that `cito_owner` gets.
        app_password: the password that `cito_app` gets.

    Raises:
        psycopg.Error: the role may not do this, or an extension's files are not installed.
    """
    blocks = _blocks()
    database = psycopg.conninfo.conninfo_to_dict(admin_url).get("dbname", "cito")
    with psycopg.connect(admin_url, dbname="postgres", autocommit=True) as admin:
        roles = {name for (name,) in admin.execute("select rolname::text from pg_roles")}
        for role, block in (
            ("cito_owner", "create_owner"),
            ("cito_app", "create_app"),
            ("cito_search", "create_search"),
        ):
            if role not in roles:
                admin.execute(blocks[block])
        admin.execute(blocks["let_owner_give_to_search"])
        for role, password in (("cito_owner", owner_password), ("cito_app", app_password)):
            admin.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password))
            )
        if not admin.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
            admin.execute(
                sql.SQL(
                    "create database {} owner cito_owner encoding 'UTF8' locale 'C.UTF-8' template template0"
                ).format(sql.Identifier(str(database)))
            )
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(blocks["create_extensions"])


def _blocks() -> dict[str, bytes]:
    text = (files("cito.sql") / "core" / "bootstrap.sql").read_text()
    parts = _BLOCK.split(text)[1:]
    return {name: body.encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}
