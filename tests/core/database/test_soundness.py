"""A query that PostgreSQL refuses, or that returns other columns than its row has, is named before it is asked."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from cito.core.database.soundness import unsound_queries


class Pair(msgspec.Struct):
    name: str
    floor: int


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select name, floor from wards where id = $1", []),
        ("select upper(name), floor + 1 from wards", []),
        ("select nothing_there from wards", ["it: refused by PostgreSQL"]),
        ("select name, floor, id from wards", ["it: returns 3 columns, Pair has 2 fields"]),
        ("select floor, name from wards", ["it: returns floor where Pair has name"]),
    ],
)
async def test_a_query_is_compared_with_its_row(shared_wards, text, said):
    query = msgspec.structs.replace(shared_wards.queries["find_ward"], name="it", text=text)
    async with await psycopg.AsyncConnection.connect(shared_wards.urls.app, autocommit=True) as app:
        assert await unsound_queries(app, {"it": query}, {"it": Pair}) == said
