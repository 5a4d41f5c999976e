"""Never more doses than the text says: generated texts whose truth is known, exhaustive intervals, and noise."""

import random
import string
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cito.plugins.clinical.dosing import parse_timing
from cito.plugins.clinical.dosing_words import CANONICAL, REFUSALS

NUMBER_WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
RATES = {
    1: ["once daily", "once a day", "qd", "1x/day", "one time per day", "1 time every day"],
    2: ["twice daily", "bid", "b.i.d.", "2 times a day", "bd", "2x daily", "two times/day"],
    3: ["three times daily", "tid", "tds", "3x/day", "thrice a day", "3 times per day"],
    4: ["four times daily", "qid", "q.d.s.", "4 times a day", "4x/day"],
}
MOMENTS = {
    "in the morning": 8,
    "at noon": 12,
    "every afternoon": 14,
    "at bedtime": 21,
    "at 6am": 6,
    "at 13:00": 13,
    "at 10 pm": 22,
    "after lunch": 12,
    "with dinner": 18,
}
BEFORE = [
    "",
    "take ",
    "take 1 tablet ",
    "give 5 ml by mouth ",
    "TAKE ONE ",
    "2 puffs ",
    "1-2 tabs po ",
    "apply 1 patch to skin ",
]
AFTER = [
    "",
    " for pain",
    " for 7 days",
    " x 10 days",
    " by mouth",
    " with water",
    ".",
    " (oral)",
    " for itching of the skin",
]
DAYS_IN = {"minute": Fraction(1, 1440), "hour": Fraction(1, 24), "day": 1, "week": 7}
SEEDS = [pytest.param(400), pytest.param(20_000, marks=pytest.mark.full)]


def doses(text):
    timing = parse_timing(text)
    return timing.doses_per_day if timing.status in {"ok", "prn"} else None


@pytest.mark.parametrize("unit", DAYS_IN)
def test_every_interval_is_exact_or_refused(unit):
    """Every n of every unit, in figures and words: the frequency is 1/n of the unit or there is none."""
    for n in range(200):
        forms = [f"every {n} {unit}s", f"once every {n} {unit}s", f"take 2 tablets every {n} {unit}s"]
        if unit != "minute":
            forms.append(f"q{n}{unit[0]}")
        if 0 < n <= 12:
            forms.append(f"every {NUMBER_WORDS[n - 1]} {unit}s")
        for form in forms:
            got = doses(form)
            assert got in {None, n and 1 / (n * Fraction(DAYS_IN[unit]))}, form
            assert got is not None or n == 0 or n > 100, form


def test_every_number_of_times():
    for n, (period, days) in product(range(40), (("day", 1), ("week", 7))):
        got = doses(f"{n} times a {period}")
        assert got in {None, Fraction(n, days)}
        assert got is not None or n in {0, *range(25, 40)}


@pytest.mark.parametrize("count", SEEDS)
def test_orders_with_amounts_routes_and_purposes(count):
    """An order keeps its frequency whatever amount, route, purpose or duration stands around it."""
    rng = random.Random(1)
    for _ in range(count):
        rate = rng.choice(list(RATES))
        text = rng.choice(BEFORE) + rng.choice(RATES[rate]) + rng.choice(AFTER)
        text = rng.choice([str, str.upper, str.title])(text)
        assert doses(text) == rate, text


@pytest.mark.parametrize("count", SEEDS)
def test_times_joined_by_and_add_up_and_nothing_else_does(count):
    rng = random.Random(2)
    for _ in range(count):
        chosen = rng.sample(list(MOMENTS), rng.randint(1, 4))
        joint = rng.choice([" and ", ", ", " & ", " ", " or ", " then ", "; "])
        text = rng.choice(BEFORE) + joint.join(chosen)
        got = doses(text)
        assert got is None or got <= len(chosen), text
        if joint in {" and ", " & "} and len({MOMENTS[moment] for moment in chosen}) == len(chosen):
            assert got == len(chosen), text
        if joint in {" or ", " then "} and len(chosen) > 1:
            assert got is None, text


@pytest.mark.parametrize("count", SEEDS)
def test_two_statements_never_give_more_than_the_lesser(count):
    """Any two or three frequencies in one text, however joined: at most the least of them, or a refusal."""
    rng = random.Random(3)
    atoms = [(text, Fraction(rate)) for rate, texts in RATES.items() for text in texts]
    atoms += [
        (f"every {n} {unit}s", 1 / (n * Fraction(days)))
        for n in (2, 3, 6, 12)
        for unit, days in DAYS_IN.items()
    ]
    atoms += [("weekly", Fraction(1, 7)), ("every Monday", Fraction(1, 7)), ("on weekdays", Fraction(5, 7))]
    atoms += [("every other day", Fraction(1, 2)), ("in the morning", Fraction(1)), ("at 8pm", Fraction(1))]
    for _ in range(count):
        chosen = rng.sample(atoms, rng.randint(2, 3))
        text = rng.choice([" ", ", ", " and ", " or ", " - ", ". "]).join(text for text, _ in chosen)
        got = doses(text)
        named = sum(1 for text, _ in chosen if text in {"in the morning", "at 8pm"})
        least = max(min(rate for _, rate in chosen), named if named == len(chosen) else Fraction(0))
        if named > 1:
            least *= named  # every other day, in the morning and at 8 pm
        if any(text == "on weekdays" or text.startswith("every Mon") for text, _ in chosen):
            least = max(least, max(rate for _, rate in chosen) * Fraction(5, 7))
        if " or " in text:
            least = max(rate for _, rate in chosen)  # "every 6 hours or every 12 hours" is a range
        assert got is None or got <= least, text


@pytest.mark.parametrize("count", SEEDS)
def test_a_word_that_forbids_changes_or_is_unknown_is_never_read_over(count):
    rng = random.Random(4)
    texts = (
        [text for texts in RATES.values() for text in texts]
        + list(MOMENTS)
        + ["every 8 hours", "weekly on Monday"]
    )
    strange = [*REFUSALS, "zxqv", "ocho", "tres", "unlike", "bidd", "dailyy", "?", "x"]
    part_of_phrases = {"alternate", "no", "not", "if", "when", "until", "till", "without"}
    for _ in range(count):
        words = rng.choice(texts).split()
        word = rng.choice([word for word in strange if word not in part_of_phrases])
        words.insert(rng.randint(0, len(words)), word)
        assert doses(" ".join(words)) is None, words


@pytest.mark.parametrize("count", SEEDS)
def test_looks_do_not_matter(count):
    """Case, spaces, full stops and full-width letters are the same text."""
    rng = random.Random(5)
    texts = (
        [text for texts in RATES.values() for text in texts]
        + list(MOMENTS)
        + ["every 4 to 6 hours prn", "mon/wed/fri"]
    )
    wide = {ord(char): ord(char) + 0xFEE0 for char in string.ascii_letters + string.digits}
    for _ in range(count):
        text = rng.choice(texts)
        looks = [
            text.upper(),
            f"  {text}\t",
            text.replace(" ", "  "),
            text.replace(" ", "\u00a0"),
            f"{text}.",
            text.translate(wide),
        ]
        assert parse_timing(rng.choice(looks)) == parse_timing(text)


OTHERS = """qd bid tid qid prn od ac pc po x / , - 1/2 08:00 8pm for of in the a to or on per once twice
    daily weekly other school"""
VOCABULARY = sorted(
    {
        *CANONICAL,
        *REFUSALS,
        *(str(n) for n in range(1, 31)),
        *OTHERS.split(),
    }
)


def check_consistent(text):
    timing = parse_timing(text)
    if timing.status in {"ambiguous", "unparsed"}:
        assert timing.reason, text
        assert not timing.times, text
        assert timing.frequency is None, text
        assert timing.doses_per_day is None, text
    elif timing.status == "prn":
        assert (timing.times, timing.as_needed) == ((), True), text
    else:
        assert timing.count == 1 or timing.frequency, text
        assert timing.times is not None or timing.needs_review or timing.rolling, text
    if timing.times and timing.period_unit in {"d", "wk"} and timing.status == "ok":
        per_dosing_day = timing.frequency / (len(timing.day_of_week) or 1)
        assert len(set(timing.times)) == per_dosing_day, text
    if timing.times and timing.period_unit == "h":
        assert len(timing.times) == 24 / timing.period, text
    if timing.doses_per_day is not None and timing.max_per_day is not None:
        assert timing.doses_per_day <= timing.max_per_day, text


@given(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8))
@settings(max_examples=1500, deadline=None)
def test_any_words_give_a_consistent_answer(words):
    check_consistent(" ".join(words))


@given(st.text(max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_gives_a_consistent_answer(text):
    check_consistent(text)
