"""Declared against real: builds what is missing, concurrently; repairs what broke; drops nothing by itself.

A failed concurrent build leaves an invalid index that `if not exists` would keep for ever. So each is looked
at first, and carries the checksum of its declaration as its comment: a changed declaration is built beside
the old index and takes its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from time import perf_counter
from typing import Any, Literal

import msgspec
import psycopg
from psycopg import sql

from cito.core.database.owner import OwnerConnection, hold_lock, holds_pages, owner_connection
from cito.core.database.sql import read_queries
from cito.core.declarations import Index

Done = Literal["kept", "built", "repaired", "replaced"]
Progress = Callable[[str, str, float], None]

_DDL = re.compile(
    r"create\s+(?P<unique>unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(?P<name>\w+)\s+on\s+"
    r"(?:public\.)?(?P<table>[\w.]+)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_POLL_SECONDS = 0.2
_LOCK_TIMEOUT = b"set local lock_timeout = '5s'"  # what holds others up gives way to them


class IndexBuildError(Exception):
    """A declared index that cannot be built; the message names it and what to do."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one declared index."""

    name: str
    done: Done
    seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What `apply_indexes` did, and the indexes that nobody declares: never dropped, only named."""

    applied: list[Applied]
    undeclared: list[str]


async def apply_indexes(
    owner_url: str,
    indexes: Iterable[Index],
    ddl: Mapping[str, str],
    *,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Bring the database to what is declared.

    Args:
        owner_url: a direct connection as `cito_owner`.
        indexes: the declarations of all enabled plugins.
        ddl: their statements by name, from the `indexes.sql` files.
        progress: gets name, phase and the share done (0 to 1), several times a second during a build.

    Raises:
        IndexBuildError: the DDL and the declaration disagree, or PostgreSQL refused the build.
    """
    declared = {index.name: _parse(index, ddl) for index in indexes}
    async with owner_connection(owner_url) as connection:
        await hold_lock(connection, _QUERIES["try_lock_indexes"].text)
        builder = _Builder(connection, owner_url, progress, await _all(connection, "existing_indexes"))
        applied = []
        for name, statement in declared.items():
            started = perf_counter()
            done = await builder.bring(name, statement)
            applied.append(Applied(name=name, done=done, seconds=perf_counter() - started))
        undeclared = [
            e.name for e in builder.existing.values() if e.name not in declared and not e.of_constraint
        ]
        return Outcome(applied=applied, undeclared=undeclared)


class _Existing(msgspec.Struct, frozen=True):
    """An index that is there; the fields are the columns of `existing_indexes`."""

    name: str
    table_name: str
    valid: bool
    of_constraint: bool
    comment: str
    partitioned: bool


class _Builder:
    def __init__(
        self,
        connection: OwnerConnection,
        owner_url: str,
        progress: Progress,
        existing: Iterable[Sequence[Any]],
    ) -> None:
        self.existing = {row[0]: _Existing(*row) for row in existing}
        self._connection = connection
        self._owner_url = owner_url
        self._progress = progress

    async def bring(self, name: str, statement: re.Match[str]) -> Done:
        """Make one index what it is declared to be."""
        found = self.existing.get(name)
        if found is None:
            await self._build(name, statement)
            return "built"
        if not found.valid:
            await self._drop(name)
            await self._build(name, statement)
            return "repaired"
        if found.comment != _mark(statement):
            await self._replace(name, statement)
            return "replaced"
        return "kept"

    async def _build(self, name: str, statement: re.Match[str]) -> None:
        comment = sql.SQL("comment on index {} is {}").format(
            _qualified(name, statement), sql.Literal(_mark(statement))
        )
        text = f"create {statement['unique'] or ''}index {{}} on {statement['table']}{statement['rest']}"
        try:
            if not await holds_pages(self._connection, statement["table"]):
                await self._at_once(
                    text.format(name).encode(), comment
                )  # nobody waits for what takes no time
            elif partitions := await _all(self._connection, "partitions", statement["table"]):
                await self._build_on_partitions(name, statement, partitions)
                await self._connection.execute(comment)
            else:
                await self._build_concurrently(name, text.format(f"concurrently {name}"))
                await self._connection.execute(comment)
        except psycopg.Error as error:
            said = error.diag.message_primary or type(error).__name__
            raise IndexBuildError(
                f"index {name}: {said}; the next apply repairs what is left of it"
            ) from None

    async def _at_once(self, *statements: bytes | sql.Composed) -> None:
        async with self._connection.transaction():
            for statement in (_LOCK_TIMEOUT, *statements):
                await self._connection.execute(statement)

    async def _build_on_partitions(
        self, name: str, statement: re.Match[str], partitions: Iterable[Sequence[str]]
    ) -> None:
        """A partitioned table's index cannot be built concurrently; its partitions' can, and then make it up."""
        unique, table, rest = statement["unique"] or "", statement["table"], statement["rest"]
        await self._at_once(f"create {unique}index {name} on only {table}{rest}".encode())
        for schema, partition in partitions:
            part = f"{partition[:46]}_{_mark(statement).removeprefix('cito:')}"
            await self._connection.execute(
                sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, part))
            )
            await self._build_concurrently(
                name, f"create {unique}index concurrently {part} on {schema}.{partition}{rest}"
            )
            attach = sql.SQL("alter index {} attach partition {}")
            await self._at_once(attach.format(_qualified(name, statement), sql.Identifier(schema, part)))

    async def _build_concurrently(self, name: str, text: str) -> None:
        watcher = asyncio.create_task(_watch(self._owner_url, name, self._progress))
        try:
            await self._connection.execute(text.encode())
        finally:
            watcher.cancel()
            await asyncio.wait((watcher,))

    async def _replace(self, name: str, statement: re.Match[str]) -> None:
        """Build the new form beside the old one, then let it take the name in one short transaction."""
        beside = f"{name[:57]}__new"
        if beside in self.existing:
            await self._drop(beside)
        await self._build(beside, statement)
        await self._at_once(
            sql.SQL("drop index {}").format(_qualified(name, statement)),
            sql.SQL("alter index {} rename to {}").format(
                _qualified(beside, statement), sql.Identifier(name)
            ),
        )

    async def _drop(self, name: str) -> None:
        found = self.existing.pop(name)
        how = sql.SQL("drop index {}" if found.partitioned else "drop index concurrently {}")
        await self._connection.execute(how.format(sql.Identifier(name)))


def _parse(index: Index, ddl: Mapping[str, str]) -> re.Match[str]:
    statement = ddl.get(index.name)
    if statement is None:
        raise IndexBuildError(f"index {index.name}: no indexes.sql has a block of that name")
    found = _DDL.fullmatch(statement.strip())
    if found is None:
        raise IndexBuildError(f"index {index.name}: write `create index concurrently {index.name} on ...`")
    if found["name"] != index.name or found["table"] != index.table:
        raise IndexBuildError(
            f"index {index.name}: its block builds {found['name']} on {found['table']}, "
            f"the declaration says {index.name} on {index.table}"
        )
    return found


async def _watch(owner_url: str, name: str, progress: Progress) -> None:
    async with owner_connection(owner_url) as connection:
        while True:
            for phase, done in await _all(connection, "index_progress"):
                progress(name, phase, float(done))
            await asyncio.sleep(_POLL_SECONDS)


def _mark(statement: re.Match[str]) -> str:
    """The checksum of a declaration, blind to spacing and case of keywords it shares with every other."""
    text = " ".join(f"{statement['unique'] or ''} {statement['table']} {statement['rest']}".split())
    return f"cito:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _qualified(name: str, statement: re.Match[str]) -> sql.Identifier:
    schema, _, _ = statement["table"].rpartition(".")
    return sql.Identifier(schema, name) if schema else sql.Identifier(name)


async def _all(connection: OwnerConnection, name: str, *values: str) -> list[Any]:
    return await (await connection.execute(_QUERIES[name].text.encode(), values)).fetchall()


_QUERIES = read_queries(files("cito.sql") / "core" / "indexes_admin.sql")
