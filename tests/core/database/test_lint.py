"""Each rule of the migration lint by what it refuses and what it lets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from cito.core.database.lint import RULES, lint
from cito.core.database.migrations import MigrationError, migrate

SQL = Path(__file__).parents[3] / "sql"

REFUSED = [
    ("create index on beds (label)", "index-not-concurrent"),
    ("CREATE UNIQUE INDEX beds_label ON public.beds (label)", "index-not-concurrent"),
    ("alter table beds add column key uuid default gen_random_uuid()", "column-rewrite"),
    ("alter table beds add column number bigserial", "column-rewrite"),
    ("alter table beds add number bigint generated always as identity", "column-rewrite"),
    ("alter table beds add column sum int generated always as (a + b) stored", "column-rewrite"),
    ("alter table beds add column place text not null", "column-not-null"),
    ("alter table beds alter column label type varchar(10)", "type-rewrite"),
    ("alter table only beds alter label set data type int using label::int", "type-rewrite"),
    ("alter table beds alter column label set not null", "set-not-null"),
    ("alter table beds add constraint b foreign key (a) references wards (id)", "constraint-scan"),
    ("alter table beds add check (length(label) < 5)", "constraint-scan"),
    ("alter table beds add unique (label)", "constraint-index"),
    ("alter table beds add constraint b primary key (id)", "constraint-index"),
    ("lock table beds", "lock"),
    ("vacuum full beds", "rewrite"),
    ("cluster beds using beds_pkey", "rewrite"),
    ("alter table beds rename to couches", "rename"),
    ("alter table beds rename column label to name", "rename"),
    ("create table other (id int); create index on beds (label)", "index-not-concurrent"),
]
LET_THROUGH = [
    "create table beds (id int); create index on beds (id); alter table beds add unique (id)",
    "create table public.beds (id int); alter table beds add column x uuid not null default gen_random_uuid()",
    "create index concurrently beds_label on beds (label)",
    "alter table beds add column place text",
    "alter table beds add column place text not null default ''",
    "alter table beds add column place text, add column floor int default 0",
    "alter table beds alter column label set default 'x'",
    "alter table beds add constraint b foreign key (a) references wards (id) not valid",
    "alter table beds validate constraint b",
    "alter table beds add constraint b unique using index beds_label",
    "alter table beds enable row level security",
    "alter table beds drop column label",
    "-- create index on beds (label)\nselect 1",
    "select 'create index on beds (label)'",
    "create function f() returns void language sql as $$ lock table beds $$",
    "-- allow: lock because nobody uses it at night\nlock table beds",
]


@pytest.mark.parametrize(("text", "rule"), REFUSED)
def test_what_locks_or_rewrites_a_table_in_use_is_refused(text, rule):
    (finding,) = lint("inn_0001", text)
    assert (finding.rule, finding.table) == (rule, "beds")
    assert f"-- allow: {rule} because" in str(finding)


@pytest.mark.parametrize("text", LET_THROUGH)
def test_what_does_not_is_let_through(text):
    assert lint("inn_0001", text) == []


def test_a_reason_is_asked_for():
    assert lint("inn_0001", "-- allow: lock because\nlock table beds")


def test_every_rule_has_its_example():
    assert {rule for _, rule in REFUSED} == {rule.name for rule in RULES}


def test_every_migration_of_ours_passes():
    files = [f for f in SQL.glob("*/migrations/*.sql") if not f.name.endswith(".rollback.sql")]
    assert len(files) >= 3
    assert [str(finding) for file in files for finding in lint(file.stem, file.read_text())] == []


async def test_a_pending_migration_that_breaks_a_rule_is_not_applied(empty_database, tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "inn_0001_rooms.sql").write_text("create table rooms (id int);")
    (folder / "inn_0002_number.sql").write_text("alter table rooms alter id type bigint;")
    with pytest.raises(MigrationError, match="inn_0002_number: type-rewrite on rooms"):
        await migrate(empty_database.owner, [("inn", tmp_path)])
