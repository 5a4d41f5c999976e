"""The schema of everything that is installed: clinics apart, every query as it is bound."""

from __future__ import annotations

import psycopg

from cito.core.database.indexes import apply_indexes
from cito.core.database.query import Query
from cito.core.database.soundness import unsound_queries
from cito.core.database.tenancy import tenancy_violations


async def test_no_table_key_view_or_function_lets_clinics_meet(site):
    assert [f"{v.name}: {v.broken}" for v in await tenancy_violations(site.urls.owner)] == []


async def test_every_query_is_prepared_and_returns_the_fields_of_its_row(site):
    queries = {name: owned.value for name, owned in site.assembly.sources.queries.items()}
    rows = {o.value.name: o.value.row for o in site.assembly.registry.queries if isinstance(o.value, Query)}
    async with await psycopg.AsyncConnection.connect(site.urls.app, autocommit=True) as app:
        assert await unsound_queries(app, queries, rows) == []
    assert {"search_patients", "search_audit"} <= queries.keys() & rows.keys()


async def test_every_index_is_declared_or_of_a_constraint(site):
    declared = [owned.value for owned in site.assembly.registry.indexes]
    statements = {name: owned.value for name, owned in site.assembly.sources.indexes.items()}
    outcome = await apply_indexes(site.urls.owner, declared, statements)
    assert outcome.undeclared == []
    assert {one.done for one in outcome.applied} == {"kept"}
