from __future__ import annotations

import sys
import unicodedata

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cito.plugins.patients.folding import fold

# What both sides know: PostgreSQL's Unicode is newer than Python's.
KNOWN = [
    chr(i) for i in range(1, 0x30000) if not 0xD800 <= i <= 0xDFFF and unicodedata.category(chr(i)) != "Cn"
]


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("García", "garcia"),
        ("Łukasz Wałęsa", "lukasz walesa"),
        ("Nguyễn Thị Hoa", "nguyen thi hoa"),
        ("O'Brien", "obrien"),
        ("O\u2019Brien", "obrien"),
        ("O\u00b4Brien", "obrien"),
        ("Ó Briain", "o briain"),
        ("STRAßE", "strasse"),
        ("Møller", "moller"),
        ("Đặng", "dang"),
        ("Þórunn Æsa", "thorunn aesa"),
        ("Jean-Luc", "jean luc"),
        ("Percent_Test", "percent test"),
        ("100%", "100"),
        ("\uff54\uff4f\uff4b\uff59\uff4f", "tokyo"),
        ("Ann\u00adMarie", "annmarie"),
        ("  ", ""),
    ],
)
def test_names_are_folded(name: str, folded: str) -> None:
    assert fold(name) == folded


def test_every_character_folds_alike_in_python_and_in_sql(owner: psycopg.Connection) -> None:
    texts = [f"a{c}b" for c in KNOWN]
    rows = owner.execute(
        "select name_fold(x) from unnest(%s::text[]) with ordinality as t (x, n) order by n", (texts,)
    ).fetchall()
    differing = [
        hex(ord(c)) for c, text, (there,) in zip(KNOWN, texts, rows, strict=True) if fold(text) != there
    ]
    assert differing == []
    assert len(KNOWN) > 100_000, sys.version


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from(KNOWN), max_size=30), min_size=20, max_size=20))
def test_any_text_folds_alike_and_once(owner: psycopg.Connection, texts: list[str]) -> None:
    rows = owner.execute(
        "select name_fold(x) from unnest(%s::text[]) with ordinality as t (x, n) order by n", (texts,)
    ).fetchall()
    for text, (there,) in zip(texts, rows, strict=True):
        assert fold(text) == there
        assert fold(fold(text)) == fold(text)


def test_words_carry_their_places_and_their_runs(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        "select word, place, joined from name_words('Jean-Luc', '', 'de la Croix')"
    ).fetchall()
    own = {word: place for word, place, joined in rows if not joined}
    runs = {word for word, _, joined in rows if joined}
    assert own == {"jean": 1, "luc": 2, "de": 3, "la": 4, "croix": 5}
    assert runs == {"jeanluc", "dela", "lacroix", "delacroix"}
