"""With 30,000 names every declared index is used, and no lookup reads a table from end to end."""

from __future__ import annotations

import psycopg
from support import OpenSite

from cito.core.database.proofs import verify_indexes
from cito.plugins.drugs.importing import import_lines
from cito.plugins.drugs.plugin import plugin
from cito.plugins.drugs.reading import Line
from cito.plugins.drugs.seed import demo_drugs

TABLES = {"drugs", "drug_aliases", "drug_schedules"}
COPIES = """
with made as (
    insert into drugs (
        id, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active
    )
    select
        gen_random_uuid(), d.generic_name || ' ' || n, d.generic_key || 'n' || n, array[d.generic_name || n],
        array[d.generic_key || n], d.classes || array['made'], true, n % 5 > 0
    from drugs as d, generate_series(1, 8) as n
    returning id, generic_name, generic_key
)
insert into drug_aliases (drug_id, kind, name, folded, key, place)
select id, kind, generic_name || kind, lower(generic_name) || kind, generic_key || kind, 1
from made, unnest(array['generic', 'brand']) as kind
"""


async def test_every_query_uses_what_is_declared_for_it(open_site: OpenSite) -> None:
    lines: list[Line] = demo_drugs()
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await import_lines(connection, lines, lambda *_: None)
        async with await psycopg.AsyncConnection.connect(site.urls.owner, autocommit=True) as owner:
            await owner.execute(COPIES)
            await owner.execute("vacuum analyze drugs, drug_aliases, drug_schedules")
        indexes = [index for index in plugin.register_indexes() if index.table in TABLES]
        served = {query for index in indexes for query in index.serves} | {"find_drugs"}
        queries = [owned.value for name, owned in site.assembly.sources.queries.items() if name in served]
        proofs = await verify_indexes(site.urls.owner, site.urls.app, queries, indexes, large_rows=10_000)
    assert {proof.query: proof.unused for proof in proofs} == {query.name: () for query in queries}
    scanned = {proof.query: proof.scanned for proof in proofs if proof.scanned}
    assert scanned == {"list_drugs": ("drugs",)}, "only the count of all active drugs reads all of them"
