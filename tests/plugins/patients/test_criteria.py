from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from cito.core.errors import Invalid
from cito.plugins.patients.criteria import Criteria, Filters, interpret


def read(search: str, locale: str | None = None) -> Criteria:
    return interpret(Filters(search=search), "US", locale)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("  José   GARCÍA ", Criteria(words=("jose", "garcia"))),
        ("Smith, John", Criteria(words=("john", "smith"))),
        ("李", Criteria(words=("李",))),
        ("100%", Criteria(words=("100",))),
        ("MRN-10001", Criteria(code="mrn10001")),
        ("mrn: 10001", Criteria(number="10001", phone_e164=None)),
        ("smith 0132", Criteria(words=("smith",), number="0132")),
        ("19800314", Criteria(number="19800314", number_born=date(1980, 3, 14))),
        ("smith 14 Mar 1980", Criteria(words=("smith",), born=date(1980, 3, 14))),
        ("(415) 555-0132", Criteria(phone_e164="+14155550132", phone_digits="4155550132")),
        (
            "john 415-555-0132 x12",
            Criteria(words=("john",), phone_e164="+14155550132", phone_digits="4155550132"),
        ),
        ("John.Smith@Example.org", Criteria(email="john.smith@example.org")),
        ("MRN\u201310001", Criteria(code="mrn10001")),
        ("mrn: MRN-10001", Criteria(code="mrn10001")),
        ("S20417 smith", Criteria(words=("smith",), code="s20417")),
        ("no smith", Criteria(words=("no", "smith"))),
        ("132", Criteria(number="132")),
        ("smith 132", Criteria(words=("smith", "132"))),
        ("415\u2013555\u20130132", Criteria(phone_e164="+14155550132", phone_digits="4155550132")),
        ("415-555-0132x12", Criteria(phone_e164="+14155550132", phone_digits="4155550132")),
        ("4155550132 #12", Criteria(phone_e164="+14155550132", phone_digits="4155550132")),
        (
            "\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff13\uff12",
            Criteria(number="4155550132", phone_e164="+14155550132"),
        ),
        ("mailto:John.Smith@Example.org.", Criteria(email="john.smith@example.org")),
        ("e-mail: john.smith@", Criteria(email="john.smith@")),
        (
            "01900000-0000-7000-8000-000000000001",
            Criteria(record_id=UUID("01900000-0000-7000-8000-000000000001")),
        ),
        ("'; drop table patient;--", Criteria(words=("drop", "table", "patient"))),
    ],
)
def test_the_box_is_taken_apart(text: str, asked: Criteria) -> None:
    assert read(text) == asked


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "required"),
        ("   ", "required"),
        ("a", "min_length"),
        ("%", "min_length"),
        ("_%_", "min_length"),
        ("03/04/2004", "ambiguous_date"),
        ("john 2004-13-01", "date"),
        ("x" * 201, "max_length"),
        ("a b c d e f g h i", "max_words"),
    ],
)
def test_what_says_nothing_or_too_much_is_refused(text: str, rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert [(error.field, error.rule) for error in refused.value.errors] == [("search", rule)]


def test_the_locale_of_the_clinic_decides_about_dates() -> None:
    assert read("03/04/2004", "en-US").born == date(2004, 3, 4)
    assert read("03/04/2004", "en-GB").born == date(2004, 4, 3)


def test_filters_and_box_are_joined_and_may_not_contradict() -> None:
    asked = interpret(Filters(search="smith", date_of_birth="1980-03-14", patient_id="MRN-7"), "US", None)
    assert asked == Criteria(words=("smith",), born=date(1980, 3, 14), code="mrn7")
    assert asked.facts == 2
    with pytest.raises(Invalid) as refused:
        interpret(Filters(search="1980-03-14", date_of_birth="1980-03-15", phone="12"), "US", None)
    assert [(e.field, e.rule) for e in refused.value.errors] == [
        ("phone", "min_length"),
        ("dateOfBirth", "contradiction"),
    ]


def test_different_writings_are_one_question() -> None:
    assert read("JOHN  smith") == read("john SMITH") == read("Smith, John")
    assert read("415.555.0132") == read("(415) 555-0132")
