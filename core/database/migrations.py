"""Migrations: plain SQL files of each plugin, applied in order, once, by one node at a time.

`<plugin>_0001_<what>.sql` has a twin `.rollback.sql`. A file is one transaction unless a line of it says
`-- transactional: false` (concurrent index builds): then its statements run one by one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
import psycopg

from cito.core.database.lint import lint
from cito.core.database.owner import OwnerConnection, hold_lock, holds_pages, owner_connection
from cito.core.database.sql import read_queries, statements

Source = tuple[str, Traversable]  # plugin, its sql folder

EXTENSIONS = ("pg_trgm", "unaccent", "fuzzystrmatch", "btree_gin", "btree_gist", "pg_stat_statements")
LOCK_TIMEOUT_MS = 5_000
_LOCK_ATTEMPTS = 5
_FILE = re.compile(r"(?P<id>(?P<plugin>[a-z][a-z0-9_]*?)_(?P<number>\d{4})_[a-z0-9_]+)\.sql")
_NOT_TRANSACTIONAL = re.compile(r"^--\s*transactional:\s*false\s*$", re.MULTILINE)
_DROPS = re.compile(r"\bdrop\s+table\s+(?:if\s+exists\s+)?([a-z_][\w.]*)", re.IGNORECASE)


class MigrationError(Exception):
    """A migration that cannot be applied; the message names the file and what to do."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One migration file and its way back (None: there is none)."""

    id: str
    plugin: str
    up: str
    down: str | None
    checksum: str

    @property
    def transactional(self) -> bool:
        """All of it or nothing; False for statements that PostgreSQL refuses in a transaction."""
        return not _NOT_TRANSACTIONAL.search(self.up)


def read_migrations(sources: Iterable[Source]) -> list[Migration]:
    """Return all migrations, plugin by plugin in the given order, each plugin's by number.

    Raises:
        MigrationError: a file whose name does not say plugin, number and purpose; a number used twice.
    """
    found: list[Migration] = []
    for plugin, folder in sources:
        directory = folder / "migrations"
        names = sorted(f.name for f in directory.iterdir()) if directory.is_dir() else []
        numbers: set[str] = set()
        for name in names:
            if not name.endswith(".sql") or name.endswith(".rollback.sql"):
                continue
            parts = _FILE.fullmatch(name)
            if not parts or parts["plugin"] != plugin:
                raise MigrationError(f"{name}: write {plugin}_0001_what_it_does.sql")
            if parts["number"] in numbers:
                raise MigrationError(f"{name}: {plugin} has another migration numbered {parts['number']}")
            numbers.add(parts["number"])
            up = (directory / name).read_text(encoding="utf-8")
            back = directory / f"{parts['id']}.rollback.sql"
            found.append(
                Migration(
                    id=parts["id"],
                    plugin=plugin,
                    up=up,
                    down=back.read_text(encoding="utf-8") if back.is_file() else None,
                    checksum=hashlib.sha256(up.replace("\r\n", "\n").encode()).hexdigest(),
                )
            )
    return found


async def pending(owner_url: str, sources: Iterable[Source]) -> list[Migration]:
    """Return what is not applied yet, in the order in which `migrate` would apply it.

    Raises:
        MigrationError: an applied file was changed or is gone.
    """
    wanted = read_migrations(sources)
    async with owner_connection(owner_url) as connection:
        return _not_applied(wanted, await _applied(connection))


async def migrate(
    owner_url: str, sources: Iterable[Source], *, announce: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Apply what is pending; nodes that start together wait for each other, and one does the work.

    Args:
        owner_url: a direct connection as `cito_owner`: the lock does not hold through a transaction pooler.
        sources: plugins in the order of their requirements, with their SQL folders; `core` comes first.
        announce: gets the id of each migration before it runs.

    Returns:
        The ids applied by this call.

    Raises:
        MigrationError: names the file; what it had done is undone where it is transactional.
    """
    wanted = read_migrations(sources)
    async with owner_connection(owner_url) as connection:
        await hold_lock(connection, _say("try_lock_migrations"))
        await create_extensions(connection)
        await connection.execute(_say("create_core_schema"))
        await connection.execute(_say("create_migrations_table"))
        await connection.execute(_say("limit_lock_wait"), (str(LOCK_TIMEOUT_MS),))
        todo = _not_applied(wanted, await _applied(connection))
        refused = [str(finding) for migration in todo for finding in lint(migration.id, migration.up)]
        if refused:
            raise MigrationError("\n".join(refused))
        for migration in todo:
            announce(migration.id)
            note = (_say("note_migration"), (migration.id, migration.plugin, migration.checksum))
            await _run(connection, migration, migration.up, note)
        return [m.id for m in todo]


async def roll_back(
    owner_url: str, sources: Iterable[Source], plugin: str, *, drop_data: bool = False
) -> list[str]:
    """Undo all migrations of one plugin, last first.

    Args:
        owner_url: as for `migrate`.
        sources: as for `migrate`.
        plugin: whose tables go.
        drop_data: also when they hold rows.

    Raises:
        MigrationError: no way back, or tables with rows and `drop_data` is not given.
    """
    known = {m.id: m for m in read_migrations(sources)}
    async with owner_connection(owner_url) as connection:
        await hold_lock(connection, _say("try_lock_migrations"))
        await connection.execute(_say("limit_lock_wait"), (str(LOCK_TIMEOUT_MS),))
        applied = [id_ for id_, owner, _ in await _applied(connection) if owner == plugin]
        todo = [known[id_] for id_ in sorted(applied, reverse=True) if id_ in known]
        if len(todo) < len(applied):
            raise MigrationError(f"{plugin}: applied migrations have no files; enable the plugin first")
        if not drop_data:
            await _refuse_filled(connection, todo)
        for migration in todo:
            if migration.down is None:
                raise MigrationError(f"{migration.id}: there is no {migration.id}.rollback.sql")
            await _run(connection, migration, migration.down, (_say("forget_migration"), (migration.id,)))
        return [m.id for m in todo]


async def create_extensions(connection: OwnerConnection) -> None:
    """Create the extensions that are missing; all but pg_stat_statements need no superuser.

    Raises:
        MigrationError: names the extension and what to do.
    """
    missing = await connection.execute(_say("missing_extensions"), (list(EXTENSIONS),))
    for name, available in await missing.fetchall():
        if not available:
            raise MigrationError(
                f"extension {name}: the server lacks it; install PostgreSQL's contrib package"
            )
        try:
            await connection.execute(
                psycopg.sql.SQL("create extension if not exists {}").format(psycopg.sql.Identifier(name))
            )
        except psycopg.errors.InsufficientPrivilege:
            raise MigrationError(
                f"extension {name}: run `create extension {name};` as a superuser, then try again"
            ) from None


async def _run(
    connection: OwnerConnection, migration: Migration, sql: str, note: tuple[str, Sequence[str]]
) -> None:
    for attempt in range(1, _LOCK_ATTEMPTS + 1):
        try:
            if migration.transactional:
                async with connection.transaction():
                    await connection.execute(sql)
                    await connection.execute(*note)
            else:
                for statement in statements(sql, migration.id):
                    await connection.execute(statement)
                await connection.execute(*note)
        except psycopg.errors.LockNotAvailable:
            if attempt == _LOCK_ATTEMPTS or not migration.transactional:
                raise MigrationError(
                    f"{migration.id}: a table stayed locked for {LOCK_TIMEOUT_MS} ms; try again when it is calm"
                ) from None
        except psycopg.Error as error:
            said = error.diag.message_primary or type(error).__name__
            raise MigrationError(f"{migration.id}: {said}") from None
        else:
            return


def _not_applied(wanted: Sequence[Migration], applied: Sequence[tuple[str, str, str]]) -> list[Migration]:
    known = {m.id: m for m in wanted}
    plugins = {m.plugin for m in wanted}
    for id_, plugin, checksum in applied:
        if id_ in known and known[id_].checksum != checksum:
            raise MigrationError(f"{id_} was changed after it was applied; undo that, write a new migration")
        if id_ not in known and plugin in plugins:
            raise MigrationError(f"{id_} was applied, and its file is gone")
    done = {id_ for id_, _, _ in applied}
    return [m for m in wanted if m.id not in done]


async def _applied(connection: OwnerConnection) -> list[tuple[str, str, str]]:
    try:
        rows = await (await connection.execute(_say("applied_migrations"))).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    return [(str(id_), str(plugin), str(checksum)) for id_, plugin, checksum in rows]


async def _refuse_filled(connection: OwnerConnection, migrations: Sequence[Migration]) -> None:
    for migration in migrations:
        for table in _DROPS.findall(migration.down or ""):
            if await holds_pages(connection, table):
                raise MigrationError(f"{migration.id}: {table} holds rows; say so to drop them (--drop-data)")


def _say(name: str) -> str:
    return _QUERIES[name].text


_QUERIES = read_queries(files("cito.sql") / "core" / "migrations.sql")
