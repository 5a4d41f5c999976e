"""At a size where an index matters, every declared index is used, and no query reads the table from end to end."""

from __future__ import annotations

import psycopg
from support import Site

from cito.core.database.proofs import verify_indexes
from cito.plugins.medications.plugin import plugin

COUNTS = {"list_medications", "count_medications"}
COPIES = """
insert into medications (id, name, generic_name, dosage_form, strength)
select gen_random_uuid(), m.name || ' No. ' || n, m.generic_name || ' ' || n, m.dosage_form, m.strength
from medications as m, generate_series(1, 5) as n
"""


async def test_every_query_uses_what_is_declared_for_it(formulary: Site) -> None:
    with psycopg.connect(formulary.urls.owner, autocommit=True) as owner:
        owner.execute(COPIES)
        owner.execute("vacuum analyze medications")
    queries = [
        owned.value
        for name, owned in formulary.assembly.sources.queries.items()
        if owned.plugin == plugin.name and not name.startswith("naive_")
    ]
    indexes = list(plugin.register_indexes())
    urls = formulary.urls
    proofs = await verify_indexes(urls.owner, urls.app, queries, indexes, large_rows=10_000)
    assert {proof.query: proof.unused for proof in proofs} == {query.name: () for query in queries}
    scanned = {proof.query for proof in proofs if proof.verdict != "proven"}
    assert scanned <= COUNTS, "nothing but a count of the whole formulary reads the whole formulary"
