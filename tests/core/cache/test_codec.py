"""What is stored is bound to its key and form: everything else is a miss, never an error."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cito.core.cache.codec import Codec, Value
from cito.core.cache.keyring import KeyFile, KeyRing, KeyRingError
from cito.core.cache.keys import Names

RING = KeyRing.generate()
CODEC = Codec(Names(RING.names, "test"), RING)
VALUE = Value(b"v" * 48, 2_000, 1_000, 0, 3, (UUID(int=7),), absent=False, body=b'{"name":"Ada"}' * 200)

values = st.builds(
    Value,
    st.binary(max_size=100),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.integers(-1, 2**62),
    st.lists(st.uuids(), max_size=3).map(tuple),
    st.booleans(),
    st.binary(max_size=3000),
)


@given(value=values, phi=st.booleans(), key=st.binary(max_size=50))
def test_what_is_written_is_read(value: Value, phi: bool, key: bytes) -> None:
    assert CODEC.decode(key, CODEC.encode(key, value, phi=phi), phi=phi) == value


@pytest.mark.parametrize("phi", [True, False])
@given(key=st.binary(max_size=50), junk=st.binary(max_size=400))
def test_junk_is_a_miss(phi: bool, key: bytes, junk: bytes) -> None:
    assert CODEC.decode(key, junk, phi=phi) is None


@pytest.mark.parametrize("phi", [True, False])
def test_a_value_that_was_moved_cut_or_altered_is_a_miss(phi: bool) -> None:
    stored = CODEC.encode(b"key", VALUE, phi=phi)
    assert CODEC.decode(b"other key", stored, phi=phi) is None
    assert CODEC.decode(b"key", stored, phi=not phi) is None
    for at in range(len(stored)):
        assert CODEC.decode(b"key", stored[:at], phi=phi) is None
        altered = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        assert CODEC.decode(b"key", altered, phi=phi) is None, at


def test_patient_data_is_not_readable_in_the_shared_tier() -> None:
    small = VALUE._replace(body=b'{"name":"Ada"}')
    assert b"Ada" in CODEC.encode(b"key", small, phi=False)
    stored = CODEC.encode(b"key", small, phi=True)
    assert b"Ada" not in stored
    assert UUID(int=7).bytes not in stored
    assert stored != CODEC.encode(b"key", small, phi=True)  # a nonce of its own each time


def test_large_bodies_are_compressed() -> None:
    assert len(CODEC.encode(b"key", VALUE, phi=True)) < len(VALUE.body) / 5


def test_a_rotated_ring_reads_old_values_and_running_processes_take_it_up(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys" / "cache.json")
    ring = file.open(create=True)
    assert (tmp_path / "keys" / "cache.json").stat().st_mode & 0o077 == 0
    running = Codec(Names(ring.names, "test"), ring)
    old = running.encode(b"key", VALUE, phi=True)
    assert KeyFile(file.path).rotate() == 2
    assert file.refresh(ring)
    assert not file.refresh(ring)
    new = running.encode(b"key", VALUE, phi=True)
    assert running.decode(b"key", old, phi=True) == running.decode(b"key", new, phi=True) == VALUE
    for _ in range(4):
        file.rotate()
    file.refresh(ring)
    assert [number for number in range(9) if ring.cipher(number)] == [3, 4, 5, 6]
    assert running.decode(b"key", old, phi=True) is None  # its key is gone: a miss
    assert KeyFile(file.path).open(create=False).names == ring.names


def test_a_process_that_has_not_heard_of_a_new_key_misses(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "cache.json")
    behind, ahead = file.open(create=True), file.open(create=True)
    file.rotate()
    file.refresh(ahead)
    stored = Codec(Names(ahead.names, "test"), ahead).encode(b"key", VALUE, phi=True)
    assert Codec(Names(behind.names, "test"), behind).decode(b"key", stored, phi=True) is None


def test_production_needs_its_keys(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cito cache key"):
        KeyFile(tmp_path / "cache.json").open(create=False)
    (tmp_path / "cache.json").write_text("{}")
    with pytest.raises(KeyRingError, match="not a key file"):
        KeyFile(tmp_path / "cache.json").open(create=False)
