"""Names are injective, canonical and free of data; what has no canonical form is refused."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cito.core.cache.families import Plan
from cito.core.cache.keys import KeyRefused, Names, check_key_type, encode, family_scope, tag_text
from cito.core.cache.local import LocalTier
from cito.core.declarations import CacheFamily

NAMES = Names(b"s" * 32, "test")


class Text(msgspec.Struct, frozen=True):
    a: str
    b: str


class Mixed(msgspec.Struct, frozen=True):
    id: UUID
    page: int
    words: tuple[str, ...]
    day: dt.date | None


texts = st.builds(Text, st.text(), st.text())
mixed = st.builds(
    Mixed,
    st.uuids(),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.text()).map(tuple),
    st.none() | st.dates(),
)
clinics = st.none() | st.uuids()
families = st.tuples(st.sampled_from(["a", "ab", "b", "a1"]), st.integers(1, 300), st.binary(max_size=8))


@given(family=families, clinic=clinics, key=texts | mixed, other=st.tuples(families, clinics, texts | mixed))
def test_different_keys_have_different_images(
    family: tuple[str, int], clinic: UUID | None, key: Any, other: tuple[Any, Any, Any]
) -> None:
    same = (family, clinic, key) == other
    image = family_scope(*family, clinic) + encode(key)
    other_image = family_scope(*other[0], other[1]) + encode(other[2])
    # Two key types under one family name cannot be: names are unique, and a family has one key type.
    if family[0] != other[0][0] or type(key) is type(other[2]):
        assert (image == other_image) == same
        value = NAMES.value(family_scope(*family, clinic), encode(key))
        assert (value == NAMES.value(family_scope(*other[0], other[1]), encode(other[2]))) == same


@given(key=mixed)
def test_an_image_leads_back_to_its_key(key: Mixed) -> None:
    fields = msgspec.msgpack.decode(encode(key), type=tuple[UUID, int, tuple[str, ...], dt.date | None])
    assert Mixed(*fields) == key


def test_neighbouring_texts_do_not_run_together() -> None:
    assert encode(Text("ab", "c")) != encode(Text("a", "bc"))


def test_names_hold_no_data_and_differ_by_secret_and_database() -> None:
    patient = "0192aaaa-0000-7000-8000-000000000001"
    tag = NAMES.tag(f"patient:{patient}")
    assert patient.encode() not in tag
    assert tag.startswith(NAMES.stamp_prefix)
    assert tag != Names(b"t" * 32, "test").tag(f"patient:{patient}")
    assert Names(b"s" * 32, "copy").prefix != NAMES.prefix


def test_stamps_and_heartbeat_share_one_prefix_and_values_do_not() -> None:
    assert NAMES.heartbeat.startswith(NAMES.stamp_prefix)
    assert not NAMES.value(b"", b"").startswith(NAMES.stamp_prefix)


def test_all_names_of_a_deployment_share_a_hash_tag() -> None:
    names = (NAMES.heartbeat, NAMES.tag("a"), NAMES.value(b"a", b"b"), NAMES.lease_prefix)
    assert len({name[name.index(b"{") : name.index(b"}")] for name in names}) == 1


class Thawed(msgspec.Struct):
    id: int


class Listed(msgspec.Struct, frozen=True):
    ids: list[int]


class Nested(msgspec.Struct, frozen=True):
    inner: tuple[dict[str, int], ...]


class Colour(enum.StrEnum):
    RED = "red"


class Coloured(msgspec.Struct, frozen=True):
    colour: Colour
    amount: float


@pytest.mark.parametrize("key", [Thawed, Listed, Nested])
def test_a_key_without_a_canonical_form_is_refused(key: type[msgspec.Struct]) -> None:
    with pytest.raises(KeyRefused, match="cache family f: key"):
        check_key_type("f", key)


async def load(_on: Any, _key: Any) -> Any: ...


def plan(key: type[msgspec.Struct], *tags: str, scoped: bool = True) -> Plan:
    family: CacheFamily[Any, Any] = CacheFamily(
        name="f",
        version=1,
        key=key,
        value=dict,
        load=load,
        tags=tags,
        ttl_seconds=1,
        hard_limit_seconds=1,
        scoped=scoped,
    )
    return Plan(family, NAMES, LocalTier(10_000), lambda: 0.0)


@pytest.mark.parametrize(
    ("key", "tag", "scoped"),
    [
        (Coloured, "a:{amount}", True),
        (Text, "a:{c}", True),
        (Text, "a:{clinic_id}", False),
        (Mixed, "a:{day}", True),
    ],
)
def test_a_tag_that_could_miss_its_row_is_refused(key: type[msgspec.Struct], tag: str, scoped: bool) -> None:
    with pytest.raises(KeyRefused, match="cache family f: tag"):
        plan(key, tag, scoped=scoped)


def test_tags_are_written_as_postgresql_writes_text() -> None:
    clinic = UUID("0192AAAA-0000-7000-8000-000000000001")
    assert plan(Coloured, "c:{colour}:{clinic_id}").tags(Coloured(Colour.RED, 1), clinic) == (
        "c:red:0192aaaa-0000-7000-8000-000000000001",
    )
    assert [tag_text(value) for value in (True, False, 7, dt.date(2026, 2, 3))] == [
        "true",
        "false",
        "7",
        "2026-02-03",
    ]


def test_a_key_that_does_not_fit_is_refused_by_name_and_without_its_value() -> None:
    ready = plan(Text, "t:{a}")
    clinic = UUID(int=1)
    for key, where in (
        (Coloured(Colour.RED, 1), clinic),
        (Text("secret", 7), clinic),
        (Text("secret", "b"), None),
    ):  # type: ignore[arg-type]
        with pytest.raises(KeyRefused, match="cache family f: ") as refused:
            ready.check(key, where)
        assert "secret" not in str(refused.value)
    with pytest.raises(KeyRefused, match="over 500"):
        ready.tag_keys(Text("x" * 501, "b"), clinic)
