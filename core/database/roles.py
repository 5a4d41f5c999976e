"""Prepares a PostgreSQL server for Cito: roles, database, extensions. Needs a superuser, once."""

from __future__ import annotations

import re
from importlib.resources import files

import psycopg
from psycopg import sql

_BLOCK = re.compile(r"^-- name: (\w+)\([\w, ]*\)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):(\w+)")
_ROLES = {"cito_owner": "create_owner", "cito_app": "create_app", "cito_search": "create_search"}


def prepare_server(admin_url: str, *, database: str, owner_password: str, app_password: str) -> None:
    """Create what is missing of Cito's roles, its database and its extensions; set both passwords.

    Args:
        admin_url: a superuser's URL, to any database of the server.
        database: the one to create.
        owner_password: the password that `cito_owner` gets.
        app_password: the password that `cito_app` gets.

    Raises:
        psycopg.Error: the role may not do this, or an extension's files are not installed.
    """
    values = {
        "database": sql.Identifier(database),
        "owner_password": sql.Literal(owner_password),
        "app_password": sql.Literal(app_password),
    }
    blocks = {
        name: sql.SQL(_PARAMETER.sub(r"{\1}", text)).format(**values) for name, text in _blocks().items()
    }
    with psycopg.connect(admin_url, dbname="postgres", autocommit=True) as admin:
        there = {name for (name,) in admin.execute("select rolname::text from pg_roles")}
        for role, block in _ROLES.items():
            if role not in there:
                admin.execute(blocks[block])
        admin.execute(blocks["let_owner_give_to_search"])
        admin.execute(blocks["set_passwords"])
        admin.execute(blocks["spare_compiling"])
        if not admin.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
            admin.execute(blocks["create_database"])
    with psycopg.connect(admin_url, dbname=database, autocommit=True) as admin:
        admin.execute(blocks["create_extensions"])


def preparing_script(database: str) -> str:
    """Return the same as a script for psql, which asks for the passwords as its variables."""
    blocks = _blocks()
    written = [
        *(blocks[name] for name in _ROLES.values()),
        blocks["let_owner_give_to_search"],
        _PARAMETER.sub(r":'\1'", blocks["set_passwords"]),
        blocks["spare_compiling"],
        blocks["create_database"].replace(":database", f'"{database}"'),
        f'\\connect "{database}"',
        blocks["create_extensions"],
    ]
    return _INTRODUCTION + "\n\n".join(written) + "\n"


def _blocks() -> dict[str, str]:
    text = (files("cito.sql") / "core" / "bootstrap.sql").read_text()
    parts = _BLOCK.split(text)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


_INTRODUCTION = """\
-- For a superuser, once, with psql:  -v owner_password=... -v app_password=...
-- What is there already says so and is passed over.

"""
