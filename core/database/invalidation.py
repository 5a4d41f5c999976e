"""Invalidation rules compiled to statement-level triggers: what became stale is noted in the writer's transaction.

One function and four triggers for each watched table. They see whole statements (transition tables), so a write by
psql, COPY, a cascade, MERGE or a migration is noted like any other, and a bulk write is noted coarsely: a statement
that touches more than `MANY` tags of one template notes the template's coarse tag (`"patient:{}"`) instead, which
every cache entry of the template depends on.

The text of a function is data: it is compared with what is installed, so a changed declaration (or a change made by
hand) is found and built anew.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from cito.core.database.owner import OwnerConnection, owner_connection
from cito.core.database.query import Query
from cito.core.database.sql import read_queries
from cito.core.declarations import Executor, Invalidation, tag_fields, tag_shape

MANY = 256
"""Tags of one template in one statement, from which on they are noted as one."""
PROBE = 5000
"""Rows of a large statement that are looked at to see whether it touches many tags."""
LONGEST_TAG = 500
_LOCK_TIMEOUT_MS = 5_000
_TEXT = {"uuid", "text", "varchar", "int2", "int4", "int8", "bool"}
_EVENTS = {
    "insert": "after insert on {table} referencing new table as new_rows",
    "update": "after update on {table} referencing old table as old_rows new table as new_rows",
    "delete": "after delete on {table} referencing old table as old_rows",
    "truncate": "after truncate on {table}",
}


class InvalidationError(Exception):
    """A rule that cannot be compiled; the message names table, tag and column."""


class Table(NamedTuple):
    """What the catalogue knows of a watched table: its columns with their types, and its primary key."""

    name: str
    types: Mapping[str, str]
    key: Sequence[str]


class _Names(msgspec.Struct, frozen=True):
    names: list[str]


class _Nothing(msgspec.Struct, frozen=True):
    pass


class _Watched(msgspec.Struct, frozen=True):
    name: str
    types: dict[str, str]
    key: list[str] | None


class _Installed(msgspec.Struct, frozen=True):
    name: str
    body: str
    triggers: list[str]


watched_tables = Query("watched_tables", _Names, _Watched)
installed_triggers = Query("installed_triggers", _Nothing, _Installed)


async def install(owner_url: str, rules: Iterable[Invalidation]) -> list[str]:
    """Bring the triggers in line with the rules; returns the tables whose triggers were built or removed.

    After any change everything cached is stale: writes in between may not have been noted.

    Raises:
        InvalidationError: a rule that cannot be compiled.
        OwnerUnreachableError: no way to the database.
    """
    async with owner_connection(owner_url) as connection:
        await connection.execute(_QUERIES["limit_lock_wait"].text.encode(), (str(_LOCK_TIMEOUT_MS),))
        wanted = await _wanted(connection, rules)
        installed = await _installed(connection)
        differing = _differing(wanted, installed)
        if not differing:
            return []
        async with connection.transaction():
            for table in differing:
                for statement in _drop(table) if table in installed or table in wanted else ():
                    await connection.execute(statement.encode())
                for statement in _create(table, wanted[table]) if table in wanted else ():
                    await connection.execute(statement.encode())
            await connection.execute(_QUERIES["note_everything"].text.encode())
    return differing


async def drift(owner_url: str, rules: Iterable[Invalidation]) -> list[str]:
    """Return the tables whose installed triggers are not what the rules say."""
    async with owner_connection(owner_url) as connection:
        wanted = await _wanted(connection, rules)
        installed = await _installed(connection)
    return _differing(wanted, installed)


async def drift_seen(on: Executor, rules: Sequence[Invalidation]) -> list[str]:
    """Return the same as `drift`, as the application role sees it."""
    tables = await watched_tables.all(on, _Names(sorted({rule.table for rule in rules})))
    installed = await installed_triggers.all(on, _Nothing())
    return _differing(
        _bodies(rules, ((table.name, table.types, table.key) for table in tables)),
        _whole((each.name, each.body, each.triggers) for each in installed),
    )


def _differing(wanted: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    return sorted(table for table in {**wanted, **installed} if wanted.get(table) != installed.get(table))


async def _wanted(connection: OwnerConnection, rules: Iterable[Invalidation]) -> dict[str, str]:
    """Return the function body of each watched table."""
    rules = list(rules)
    names = sorted({rule.table for rule in rules})
    found = await connection.execute(_QUERIES["watched_tables"].text.encode(), (names,))
    return _bodies(rules, await found.fetchall())


def _bodies(rules: Iterable[Invalidation], found: Iterable[Sequence[Any]]) -> dict[str, str]:
    by_table: dict[str, list[Invalidation]] = {}
    for rule in rules:
        by_table.setdefault(rule.table, []).append(rule)
    tables = {name: Table(name, types, key or ()) for name, types, key in found}
    for name in by_table.keys() - tables.keys():
        raise InvalidationError(f"invalidation of {name}: no such table; add its migration")
    return {name: function_body(tables[name], by_table[name]) for name in by_table}


async def _installed(connection: OwnerConnection) -> dict[str, str]:
    found = await connection.execute(_QUERIES["installed_triggers"].text.encode())
    return _whole(await found.fetchall())


def _whole(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Return the function body of each table that has all its triggers, switched on for every kind of session."""
    return {
        table: body if sorted(events) == sorted(f"cito_stale_{event}A" for event in _EVENTS) else ""
        for table, body, events in rows
    }


def function_body(table: Table, rules: Sequence[Invalidation]) -> str:
    """Return the PL/pgSQL that notes what a statement on `table` made stale.

    Raises:
        InvalidationError: a column that does not exist, or whose text form depends on settings.
    """
    inserted = [_note(table, rule.tags, "select * from new_rows") for rule in rules]
    deleted = [_note(table, rule.tags, "select * from old_rows") for rule in rules]
    updated = [
        _note(table, rule.tags, _changed(table, rule), one=_changed(table, rule, one=True)) for rule in rules
    ]
    coarse = sorted({_literal(tag_shape(tag)) for rule in rules for tag in rule.tags})
    return "\n".join(
        [
            "declare",
            "  touched integer;",
            "begin",
            "  if tg_op = 'INSERT' then",
            _count("new_rows"),
            *inserted,
            "  elsif tg_op = 'UPDATE' then",
            _count("new_rows"),
            *updated,
            "  elsif tg_op = 'DELETE' then",
            _count("old_rows"),
            *deleted,
            "  else",
            f"    insert into cito.outbox (tag) values {', '.join(f'({tag})' for tag in coarse)};",
            "  end if;",
            "  return null;",
            "end",
        ]
    )


def _count(touched: str) -> str:
    """Return the statement that counts the rows a statement touched, as far as it matters."""
    return f"    touched := (select count(*) from (select from {touched} limit {MANY + 1}) as few);"


def _note(table: Table, tags: Sequence[str], rows: str, *, one: str | None = None) -> str:
    """Return the statements that note the tags of some rows.

    Args:
        table: the watched one.
        tags: templates.
        rows: the query of the rows, old and new.
        one: a cheaper query of the same for a statement that touched one row.
    """
    each = ", ".join(f"({_tag(table, tag)})" for tag in tags)
    many = "\n".join(_note_many(table, tag, rows) for tag in tags)
    few = f"    if touched <= {MANY} then\n{_note_few(rows, each)}"
    if one is not None:
        few = f"    if touched = 1 then\n{_note_few(one, each)}\n    els{few.lstrip()}"
    return f"{few}\n    else\n{many}\n    end if;"


def _note_few(rows: str, each: str) -> str:
    return f"""      insert into cito.outbox (tag)
      select distinct tag from ({rows}) as r cross join lateral (values {each}) as noted (tag)
      where tag is not null;"""


def _note_many(table: Table, tag: str, rows: str) -> str:
    """Return the statement that notes one template for many rows: each tag, or the coarse one."""
    text, coarse = _tag(table, tag), _literal(tag_shape(tag))
    if not tag_fields(tag):
        return f"      insert into cito.outbox (tag) select {coarse} from ({rows}) as r limit 1;"
    return f"""      if (select count(*) from (
        select distinct {text} from (select * from ({rows}) as r limit {PROBE}) as r limit {MANY + 1}
      ) as few) > {MANY} then
        insert into cito.outbox (tag) values ({coarse});
      else
        with noted as (select distinct {text} as tag from ({rows}) as r)
        insert into cito.outbox (tag)
        select distinct case when (select count(*) from noted) > {MANY} then {coarse} else tag end
        from noted where tag is not null;
      end if;"""


def _changed(table: Table, rule: Invalidation, *, one: bool = False) -> str:
    """Return the rows, old and new, of an update that changed a column that matters.

    Old and new rows are joined by primary key (`one`: there is one of each, and no need to) and compared as
    stored: 1.0 and 1.00 differ. A changed key is a change. Where the table has no primary key, every row counts.
    """
    used = sorted({field for tag in rule.tags for field in tag_fields(tag)})
    if rule.columns is None or not table.key:
        return "select * from old_rows union all select * from new_rows"
    watched = [_identifier(column) for column in sorted({*rule.columns, *used, *table.key})]
    for column in rule.columns:
        if column not in table.types:
            raise InvalidationError(f"invalidation of {table.name}: no column {column}")
    on = " and ".join(f"o.{_identifier(column)} = n.{_identifier(column)}" for column in table.key)
    old = ", ".join(f"o.{column}" for column in watched)
    new = ", ".join(f"n.{column}" for column in watched)
    first = _identifier(table.key[0])
    differ = f"record_image_ne(row({old}), row({new}))"
    shown = [_identifier(column) for column in used] or [first]
    both = ", ".join(f"({', '.join(f'{side}.{column}' for column in shown)})" for side in "on")
    values = f"cross join lateral (values {both}) as v ({', '.join(shown)})"
    if one:
        return f"select v.* from old_rows as o cross join new_rows as n {values} where {differ}"
    missing = f"o.{first} is null or n.{first} is null"
    return (
        f"select v.* from old_rows as o full join new_rows as n on {on} {values} where {missing} or {differ}"
    )


def _tag(table: Table, tag: str) -> str:
    """Return the expression of a tag's text; null where one of its columns is null."""
    parts: list[str] = []
    for literal, field, _, _ in string.Formatter().parse(tag):
        if literal:
            parts.append(_literal(literal))
        if field is not None:
            parts.append(_text(table, tag, field))
    text = " || ".join(parts)
    if not tag_fields(tag):
        return text
    return f"case when length({text}) > {LONGEST_TAG} then {_literal(tag_shape(tag))} else {text} end"


def _text(table: Table, tag: str, column: str) -> str:
    """Return a column as text, in a form that no session's settings can change."""
    kind = table.types.get(column)
    if kind is None:
        raise InvalidationError(f"invalidation of {table.name}: tag {tag}: no column {column}")
    if kind == "date":
        return f"to_char(r.{_identifier(column)}, 'YYYY-MM-DD')"
    if kind not in _TEXT and kind != "enum":
        raise InvalidationError(
            f"invalidation of {table.name}: tag {tag}: column {column} is a {kind}; "
            "tags are made of uuid, text, integer, boolean, date and enum columns"
        )
    return f"r.{_identifier(column)}::text"


def _create(table: str, body: str) -> list[str]:
    name = _identifier(table)
    function = f"cito.{_identifier(_function(table))}"
    header = "returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp"
    statements = [f"create function {function}() {header} as $cito${body}$cito$"]
    for event, clause in _EVENTS.items():
        trigger = f"cito_stale_{event}"
        when = clause.format(table=f"public.{name}")
        statements += [
            f"create trigger {trigger} {when} for each statement execute function {function}()",
            f"alter table public.{name} enable always trigger {trigger}",
        ]
    return statements


def _drop(table: str) -> list[str]:
    """A function's triggers go with it."""
    return [f"drop function if exists cito.{_identifier(_function(table))}() cascade"]


def _function(table: str) -> str:
    return f"stale_{table}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_SQL = files("cito.sql") / "core"
_QUERIES = read_queries(_SQL / "invalidation.sql") | read_queries(_SQL / "queries.sql")
