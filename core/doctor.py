"""`cito doctor`: looks at every part that Cito stands on, and says what to do about each that is not well."""

from __future__ import annotations

import platform
import sys
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
import psycopg
import redis.asyncio as redis
from psycopg.conninfo import conninfo_to_dict

from cito.core.assembly import Assembly
from cito.core.database import migrations
from cito.core.database.invalidation import drift
from cito.core.database.query import Query
from cito.core.database.soundness import unsound_queries
from cito.core.database.sql import read_queries
from cito.core.database.tenancy import tenancy_violations
from cito.core.embedded import Urls

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
_POSTGRES_MIN = 150_000
_VALKEY_MIN, _REDIS_MIN = 8, 7
_QUERIES = read_queries(files("cito.sql") / "core" / "doctor.sql")


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at.

    Attributes:
        check: what.
        ok: whether it is well.
        found: what was found; never a password.
        todo: what to do; empty when well.
    """

    check: str
    ok: bool
    found: str
    todo: str = ""


async def examine(assembly: Assembly, urls: Urls) -> list[Finding]:
    """Return all findings, the most basic first; what depends on a missing part is left out."""
    found = [_python()]
    for role, url in (("owner", urls.owner), ("app", urls.app)):
        try:
            connection = await psycopg.AsyncConnection.connect(
                url, connect_timeout=5, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
            )
        except psycopg.OperationalError:
            found.append(
                Finding(
                    f"database as {role}",
                    False,
                    "cannot connect",
                    "check database.url, and that the server runs",
                )
            )
            continue
        async with connection:
            found.append(Finding(f"database as {role}", True, "connected"))
            checks = _owner_checks if role == "owner" else _app_checks
            found += [finding async for finding in checks(assembly, connection, urls)]
    found += [await cache_finding(urls.cache)]
    return found


def _python() -> Finding:
    found = f"Python {platform.python_version()}, Cito {version('cito')}, psycopg {psycopg.__version__}"
    return Finding(
        "versions", sys.version_info >= (3, 11), found, "" if sys.version_info >= (3, 11) else "install 3.11"
    )


async def _owner_checks(assembly: Assembly, connection: Connection, urls: Urls) -> AsyncIterator[Finding]:
    (number,) = (await _ask(connection, "server_version"))[0]
    yield _judged(
        "PostgreSQL",
        number >= _POSTGRES_MIN,
        f"version {number // 10_000}.{number % 10_000}",
        "use version 15 or later",
    )
    encoding, jit = (await _ask(connection, "ground_settings"))[0]
    yield _judged("encoding", encoding == "UTF8", encoding, "create the database with encoding 'UTF8'")
    yield _judged("jit", jit == "off", jit, "alter role cito_owner set jit = off; the same for cito_app")
    missing = [name for (name,) in await _ask(connection, "extensions_missing", list(migrations.EXTENSIONS))]
    yield _listed("extensions", missing, "missing", "create them as a superuser: create extension NAME")
    pending = [one.id for one in await migrations.pending(urls.owner, assembly.migration_sources)]
    yield _listed("migrations", pending, "pending", "run `cito migrate`")
    invalid = [name for (name,) in await _ask(connection, "indexes_invalid")]
    yield _listed("invalid indexes", invalid, "invalid", "run `cito indexes apply`, which builds them again")
    there = {name for (name,) in await _ask(connection, "indexes_there")}
    absent = sorted({owned.value.name for owned in assembly.registry.indexes} - there)
    yield _listed("declared indexes", absent, "missing", "run `cito indexes apply`")
    if not pending:  # else a watched table may not be there yet
        drifted = await drift(urls.owner, [owned.value for owned in assembly.registry.invalidations])
        yield _listed("invalidation triggers", drifted, "not as declared", "run `cito migrate`")
    broken = [f"{v.name}: {v.broken}" for v in await tenancy_violations(urls.owner)]
    yield _listed("row-level security", broken, "broken rules", "correct the schema in a migration")


async def _app_checks(assembly: Assembly, connection: Connection, urls: Urls) -> AsyncIterator[Finding]:
    role = str(conninfo_to_dict(urls.app).get("user", "cito_app"))
    powers = await _ask(connection, "role_powers", role)
    harmless = bool(powers) and not any(powers[0])
    yield _judged(
        "application role",
        harmless,
        "no special rights" if harmless else "may do more than it must",
        "see docs/security.md",
    )
    owned = [name for (name,) in await _ask(connection, "owned_by", role)]
    yield _listed("application role owns", owned, "owned", "let cito_owner own the tables")
    queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
    rows = {o.value.name: o.value.row for o in assembly.registry.queries if isinstance(o.value, Query)}
    unsound = await unsound_queries(connection, queries, rows)
    yield _listed("named queries", unsound, "not as bound", "correct SQL or struct, or run `cito migrate`")


async def cache_finding(url: str) -> Finding:
    """Return whether the shared cache answers, and is new enough."""
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, driver_info=None)
    try:
        facts: dict[str, Any] = await client.info("server")
    except (redis.RedisError, OSError):
        return Finding(
            "cache", False, "cannot connect", "check cache.url; until then answers come from the database"
        )
    finally:
        await client.aclose()
    name = "Valkey" if "valkey_version" in facts else "Redis"
    number = str(facts.get("valkey_version", facts["redis_version"]))
    enough = int(number.split(".", maxsplit=1)[0]) >= (_VALKEY_MIN if name == "Valkey" else _REDIS_MIN)
    return _judged("cache", enough, f"{name} {number}", "use Redis 7 or Valkey 8, or later")


async def _ask(connection: Connection, name: str, *params: object) -> Sequence[tuple[Any, ...]]:
    return await (await connection.execute(_QUERIES[name].text, params)).fetchall()


def _judged(check: str, ok: bool, found: str, todo: str) -> Finding:
    return Finding(check, ok, found, "" if ok else todo)


def _listed(check: str, names: Sequence[str], what: str, todo: str) -> Finding:
    return _judged(check, not names, f"{len(names)} {what}: {', '.join(names)}" if names else "none", todo)
