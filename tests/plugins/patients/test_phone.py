from __future__ import annotations

import json
from pathlib import Path

import pytest

from cito.plugins.patients.phone import read_phone, worth_keeping


def test_acceptance_cases(shared: Path) -> None:
    cases = json.loads((shared / "cases" / "patient_search.json").read_text())["phone_normalisation"]
    assert cases
    for case in cases:
        phone = read_phone(case["raw"], case["region"])
        found = (phone.e164, phone.extension, phone.possible, phone.local_only)
        assert found == (case["e164"], case["ext"], case["possible"], case["local_only"]), case["raw"]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("(415) 555-0132", True),
        ("0803 123 4567", True),  # Nigerian, written down in the United States: someone knows how to dial it
        ("123", False),
        ("call his mother", False),
        ("1234567890123456", False),
    ],
)
def test_what_could_be_dialled_is_kept(raw: str, kept: bool) -> None:
    assert worth_keeping(read_phone(raw, "US")) is kept


def test_the_extension_is_no_part_of_the_number() -> None:
    phone = read_phone("415-555-0132 ext. 12", "US")
    assert (phone.e164, phone.extension, phone.digits) == ("+14155550132", "12", "4155550132")
