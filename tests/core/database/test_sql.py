"""The reader of .sql files: what is a parameter and what only looks like one, and what each mistake is told."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cito.core.database.sql import SqlError, bind_positions, read_ddl, read_queries, statements, tokens

BLOCK = "-- name: find(a)\n-- Finds.\n-- returns: one\nselect :a"


@pytest.mark.parametrize(
    ("written", "sent", "names"),
    [
        ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
        ("select :a::int", "select $1::int", ("a",)),
        ("select x::text, y :: int", "select x::text, y :: int", ()),
        ("select arr[1:2], arr[lo:hi], arr[f(1):n]", "select arr[1:2], arr[lo:hi], arr[f(1):n]", ()),
        ("select arr[1: :a]", "select arr[1: $1]", ("a",)),
        ("select ':a', 'it''s :a'", "select ':a', 'it''s :a'", ()),
        (r"select E'it\'s :a', e'\\', :a", r"select E'it\'s :a', e'\\', $1", ("a",)),
        (r"select 'back\', :a", r"select 'back\', $1", ("a",)),
        ('select ":a", "x"":a"', 'select ":a", "x"":a"', ()),
        ("select 1 -- :a it's\n, :b", "select 1 -- :a it's\n, $1", ("b",)),
        ("select /* :a /* ' */ :b */ :c", "select /* :a /* ' */ :b */ $1", ("c",)),
        ("select $$ :a ; ' $$, $x$ $$ :b $x$, :c", "select $$ :a ; ' $$, $x$ $$ :b $x$, $1", ("c",)),
        ("select f(x := :a)", "select f(x := $1)", ("a",)),
        ("select name % :a and x like '%'", "select name % $1 and x like '%'", ("a",)),
        ("select a$1b, :a;", "select a$1b, $1", ("a",)),
        ("select :a; -- the end", "select $1", ("a",)),
        ("select ':'||:a||':'", "select ':'||$1||':'", ("a",)),
        ("select case when(:a)then(:b)end", "select case when($1)then($2)end", ("a", "b")),
    ],
)
def test_parameters_are_found_where_they_are_and_nowhere_else(written, sent, names):
    assert bind_positions(written) == (sent, names)


PIECES = st.sampled_from(
    [
        *(
            "select ",
            " from t",
            "x",
            "y1",
            " ",
            "\n",
            ", ",
            "(",
            ")",
            " % ",
            "::int",
            " = ",
            "[1:2]",
            "$$ :no $$",
        ),
        *(
            "'a'",
            "'it''s'",
            "':no'",
            '"Q:no"',
            "-- :no '\n",
            "/* :no ' */",
            "/* /* */ */",
            "E'\\''",
            "$t$ ' $t$",
        ),
        *(" :p1", " :p2", " :p3"),
    ]
)


@given(st.lists(PIECES, max_size=25))
def test_whatever_is_joined_nothing_is_lost_and_only_parameters_change(pieces):
    sql = " ".join(pieces)
    found = list(tokens(sql))
    assert "".join(f":{text}" if kind == "parameter" else text for kind, text in found) == sql
    assert [text for kind, text in found if kind == "parameter"] == [p[2:] for p in pieces if p[:2] == " :"]


@given(st.text(alphabet="ab:'\"$;-/*\\\n 1[]()eE", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        found = list(tokens(text))
    except SqlError:
        return
    assert "".join(f":{t}" if kind == "parameter" else t for kind, t in found) == text


@given(st.lists(st.sampled_from(["'a;b'", "$$ ; $$", "x", "-- ;\n", '";"', "/* ; */", " "]), max_size=12))
def test_a_semicolon_inside_something_ends_nothing(pieces):
    assert len(statements("select 1 " + " ".join(pieces) + "; select 2")) == 2


async def test_postgresql_reads_strings_as_the_lexer_does(urls):
    """Each literal holds what looks like a parameter; PostgreSQL returns it as written."""
    literals = ["':a'", "'it''s :a'", r"E'it\'s :a'", "$$:a$$", "$q$ $$:a $q$", "U&':a'"]
    text, names = bind_positions(f"select {', '.join(literals)}, :b::text")
    with psycopg.connect(urls.admin) as connection:
        row = psycopg.RawCursor(connection).execute(text.encode(), ("x",)).fetchone()
    assert names == ("b",)
    assert row == (":a", "it's :a", "it's :a", ":a", " $$:a ", ":a", "x")


def test_a_block_has_name_doc_promises_and_text(tmp_path):
    file = tmp_path / "queries.sql"
    file.write_text(
        "-- What this file is about.\n\n-- name: find(a, b)\n-- Finds by both.\n-- Second line.\n"
        "-- target: 2.5 ms\n-- example: select 1 as a, 2 as b\n-- returns: many\n\nselect :b, :a\n;\n\n"
        "-- name: count()\n-- returns: one\nselect count(*) from t\n"
    )
    found = read_queries(file)
    assert list(found) == ["find", "count"]
    one = found["find"]
    assert (one.doc, one.target_ms, one.returns, one.text) == ("Finds by both.", 2.5, "many", "select $1, $2")
    assert (one.parameters, one.examples, one.source) == (
        ("b", "a"),
        ("select 1 as a, 2 as b",),
        "queries.sql:3",
    )
    assert read_queries(tmp_path / "no.sql") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BLOCK.replace(":a", ":b"), "find declares (a), uses (b)"),
        (BLOCK.replace("find(a)", "find"), "write the parameters"),
        (BLOCK + "\n" + BLOCK, "find is there already, at queries.sql:1"),
        (BLOCK + "; select 2", "one block, one statement"),
        (BLOCK + ", $1", "write parameters as :name, not $1"),
        (BLOCK + ", 'open", "a quote is not closed"),
        (BLOCK + ", $$ open", "$$ is not closed"),
        (BLOCK + " /* open", "a comment is not closed"),
        (BLOCK.replace("returns: one", "returns: two"), "write `-- returns: one`"),
        (BLOCK.replace("-- returns: one\n", ""), "write `-- returns: one`"),
        (BLOCK.replace("-- Finds.", "-- target: soon"), "write `-- target: 5 ms`"),
        ("-- name: find(a)\n-- returns: one\n", "find has no SQL"),
        ("select 1\n" + BLOCK, "SQL before the first"),
        ("-- name: Find-It(a)\nselect 1", "write `-- name: lower_case"),
        (BLOCK + "\n-- name: Find-It(a)\nselect 1", "holds a malformed header"),
    ],
)
def test_each_mistake_names_file_and_rule(tmp_path, text, said):
    file = tmp_path / "queries.sql"
    file.write_text(text)
    with pytest.raises(SqlError) as refused:
        read_queries(file)
    assert said in str(refused.value)
    assert str(refused.value).startswith("queries.sql:")


def test_index_statements_have_no_parameters(tmp_path):
    file = tmp_path / "indexes.sql"
    file.write_text("-- name: t_a\n-- Why.\ncreate index concurrently t_a on t (a);\n")
    assert read_ddl(file) == {"t_a": "create index concurrently t_a on t (a)"}
    file.write_text(file.read_text() * 2)
    with pytest.raises(SqlError, match="t_a is there already"):
        read_ddl(file)
