from __future__ import annotations

import pytest

from cito.core.errors import Invalid
from cito.plugins.medications.ndc import ndc_beginnings, normalise_ndc


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0777-3105-02", "00777-3105-02"),
        ("50242-040-62", "50242-0040-62"),
        ("60575-4112-1", "60575-4112-01"),
        ("12345-6789-01", "12345-6789-01"),
        ("00777310502", "00777-3105-02"),
        ("  0777-3105-02 ", "00777-3105-02"),
    ],
)
def test_every_form_is_kept_as_5_4_2(written: str, stored: str) -> None:
    assert normalise_ndc(written) == stored


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("0777310502", "ambiguous"),
        ("777-3105-02", "ndc"),
        ("0777-310-02", "ndc"),
        ("0777-3105-2", "ndc"),
        ("12345-6789-1-", "ndc"),
        ("1234567890123", "ndc"),
        ("0777 3105 02", "ndc"),
        ("\u0660777-3105-02", "ndc"),
        ("aspirin", "ndc"),
        ("", "ndc"),
    ],
)
def test_anything_else_is_refused_by_field_and_rule(written: str, rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalise_ndc(written)
    assert [(error.field, error.rule) for error in refused.value.errors] == [("ndc", rule)]
    assert not written.strip() or written not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "beginnings"),
    [
        ("0777-3105-02", ["00777-3105-02"]),
        ("00777310502", ["00777-3105-02"]),
        ("0777-3105", ["00777-3105-"]),
        ("50242-040-", ["50242-0040-"]),
        ("0777310502", ["00777-3105-02", "07773-0105-02", "07773-1050-02"]),
        ("875-125", []),
        ("1234-567", []),
        ("aspirin", []),
        ("81", []),
    ],
)
def test_a_search_text_may_mean_codes(typed: str, beginnings: list[str]) -> None:
    assert ndc_beginnings(typed) == beginnings
