"""Orders that hurt when they pass: doses, rhythms, classes and duplicates as people write them, on the demo drugs."""

from __future__ import annotations

import pytest

from cito.plugins.clinical.dosing import parse_timing
from cito.plugins.clinical.vocabulary import Allergy, Severity
from cito.plugins.drugs.triage import triage
from cito.plugins.drugs.triage_models import Allergen, Order, Taken, Verdict
from cito.plugins.drugs.triage_rules import load_rules
from cito.plugins.drugs.triage_strength import same_strength
from cito.plugins.drugs.vocabulary import Vocabulary


def ordered(
    demo: Vocabulary,
    *names: str,
    dosage: str | None = None,
    strength: str | None = None,
    form: str | None = None,
) -> list[Order]:
    """Return the orders of these names, all with one dosage."""
    timing = None if dosage is None else parse_timing(dosage)
    found = [(name, demo.lookup(name)) for name in names]
    return [
        Order(name, known, strength or known.parsed.strength, form or known.parsed.form, timing)
        for name, known in found
    ]


def weigh(
    orders: list[Order], allergens: list[Allergen] | None = None, taken: list[Taken] | None = None
) -> Verdict:
    """Return the verdict on orders."""
    return triage(orders, allergens or [], taken or [], load_rules(), jurisdiction="US")


@pytest.mark.parametrize(
    ("name", "dosage", "route", "flag"),
    [
        # a number without a unit counts as milligrams, unless it is far too small for them
        ("naproxen 500", "1 tab qid", "doctor", "dose_limit:naproxen"),
        ("naproxen 500", "1 tab bid", "auto", None),
        ("paracetamol 1", "2 tablets qid", "pharmacist", "dose_unchecked"),
        ("paracetamol 0,5 g", "10 tablets daily", "doctor", "dose_limit:paracetamol"),
        ("paracetamol 1.000 mg", "2 tablets qid", "pharmacist", "dose_unchecked"),
        # more doses than a day has room for, of a strength that nobody says
        ("loratadine", "qid", "pharmacist", "dose_unchecked"),
        ("loratadine", "daily", "auto", None),
        ("naproxen", "tid", "pharmacist", "dose_unchecked"),
        ("paracetamol", "qid", "auto", None),
        # weekly medicines, by brand, strength, form and unit
        ("Trexall", "bd", "doctor", "high_alert_frequency"),
        ("methotrexate", "1-0-0", "doctor", "high_alert_frequency"),
        ("methotrexate", "every 6 days", "doctor", "high_alert_frequency"),
        ("methotrexate", "every Monday and Thursday", "doctor", "high_alert_frequency"),
        ("methotrexate", "every 2 weeks", "pharmacist", None),
        ("alendronate 70", "daily", "doctor", "high_alert_frequency"),
        ("Fosamax", "70 mg daily", "doctor", "high_alert_frequency"),
        ("Fosamax", "daily", "pharmacist", "high_alert_unchecked"),
        ("Fosamax 10mg", "daily", "pharmacist", None),
        ("Boniva 150 mg", "weekly", "doctor", "high_alert_frequency"),
        ("Boniva 150 mg", "once monthly", "pharmacist", None),
        ("Ozempic", "daily", "doctor", "high_alert_frequency"),
        ("Ozempic", "weekly", "pharmacist", None),
        ("Rybelsus", "daily", "pharmacist", None),
        ("semaglutide tablets", "daily", "pharmacist", None),
        ("Mounjaro", "daily", "doctor", "high_alert_frequency"),
        ("Vitamin D2 50,000 units", "daily", "doctor", "high_alert_frequency"),
        ("vitamin d3", "50,000 IU daily", "doctor", "high_alert_frequency"),
        ("vitamin d3 1000 IU", "daily", "auto", None),
        ("vitamin d3", "daily", "auto", None),
        ("Duragesic 25", "apply daily", "doctor", "high_alert_frequency"),
        ("fentanyl", "1 patch daily", "doctor", "high_alert_frequency"),
        ("Butrans", "daily", "doctor", "high_alert_frequency"),
        ("Subutex 8 mg", "daily", "doctor", "controlled:III"),
        ("methotrexate", "0,5 mg weekly", "clarify", "unparsed_dosage"),
    ],
)
def test_doses_and_rhythms(demo: Vocabulary, name: str, dosage: str, route: str, flag: str | None) -> None:
    verdict = weigh(ordered(demo, name, dosage=dosage))
    assert verdict.route == route, verdict.reasons
    assert (
        flag in verdict.flags if flag else not {f for f in verdict.flags if f.startswith(("high_", "dose_"))}
    )


def test_a_daily_subutex_is_no_patch(demo: Vocabulary) -> None:
    assert "high_alert_frequency" not in weigh(ordered(demo, "Subutex 8 mg", dosage="daily")).flags


@pytest.mark.parametrize(
    ("named", "asked", "same"),
    [
        ("500 mg", "500 mg", True),
        ("1 g", "1000 mg", True),
        ("0.5 g", "500 mg", True),
        ("500", "500 mg", True),
        ("120 mg/5 mL", "24 mg/mL", True),
        ("500 mg/5 mL", "500 mg", True),
        ("500 mg", "500 mcg", False),
        ("500 mg", "650 mg", False),
        ("500 mg", "5 mg", False),
        ("120 mg/5 mL", "120 mg/mL", False),
        ("500 mg", "two tablets", False),
        ("1.000 mg", "1000 mg", False),
    ],
)
def test_two_texts_of_one_strength(demo: Vocabulary, named: str, asked: str, same: bool) -> None:
    assert same_strength(named, asked) is same_strength(asked, named) is same
    verdict = weigh(ordered(demo, f"paracetamol {named}", strength=asked))
    assert ("strength_contradiction" in verdict.flags) is not same


@pytest.mark.parametrize(
    ("name", "substance", "route"),
    [
        ("amoxicillin", "PCN", "blocked"),
        ("Zosyn", "pcn", "blocked"),
        ("Rocephin", "penicillin allergy", "doctor"),
        ("Septra", "allergic to sulphonamide antibiotics", "doctor"),
        ("amoxicillin", "penicillins, sulfa", "blocked"),
        ("Bactrim", "Penicillins and sulfa drugs", "doctor"),
        ("ibuprofen", "aspirin", "blocked"),
        ("ibuprofen", "anti-inflammatory drugs", "blocked"),
        ("Excedrin", "ASA", "blocked"),
        ("Tylenol PM", "Benadryl", "blocked"),
        ("co-codamol", "Tylenol", "blocked"),
        ("lisinopril", "ramipril", "blocked"),
        ("lisinopril", "ACE inhibitors", "blocked"),
        ("metronidazole", "tinidazole", "blocked"),
        ("imipenem/cilastatin", "meropenem", "blocked"),
        ("meropenem", "penicillin", "doctor"),
        ("Tylenol", "penicillins and sulfa", "auto"),
        ("Tylenol", "NKDA", "auto"),
        ("Tylenol", "none known", "auto"),
        ("Tylenol", "penicillin and qwertzu", "pharmacist"),
        ("Tylenol", "and", "pharmacist"),
        ("Tylenol", ", ;", "pharmacist"),
        ("Tylenol", "contrast dye", "pharmacist"),
    ],
)
def test_allergies_as_they_are_written(demo: Vocabulary, name: str, substance: str, route: str) -> None:
    allergen = Allergen(Allergy(substance, Severity.SEVERE, verified=True), demo.lookup(substance))
    verdict = weigh(ordered(demo, name), [allergen])
    assert verdict.route == route, verdict.reasons


@pytest.mark.parametrize(
    ("one", "other", "route"),
    [
        # the published list in pairs of drugs: moderate inhibitors, rifamycins, bosentan, and QT with QT
        ("simvastatin", "diltiazem", "doctor"),
        ("Zocor", "erythromycin", "doctor"),
        ("lovastatin", "amiodarone", "doctor"),
        ("irinotecan", "aprepitant", "doctor"),
        ("irinotecan", "cimetidine", "doctor"),
        ("ergotamine", "erythromycin", "doctor"),
        ("Norvir", "rifabutin", "doctor"),
        ("saquinavir", "bosentan", "doctor"),
        ("tizanidine", "zileuton", "doctor"),
        ("ramelteon", "amiodarone", "doctor"),
        ("ondansetron", "azithromycin", "doctor"),
        ("flecainide", "sulpiride", "doctor"),
        ("Norvir", "St John's wort", "doctor"),
        # the site's own: few, and deadly
        ("linezolid", "sertraline", "doctor"),
        ("linezolid", "tramadol", "doctor"),
        ("Viagra", "nitroglycerin", "doctor"),
        ("methotrexate", "Bactrim", "doctor"),
        # the same effect twice
        ("Advil", "Aleve", "pharmacist"),
        ("ibuprofen", "aspirin", "pharmacist"),
        ("Nexium", "omeprazole", "pharmacist"),
        ("loratadine", "Benadryl", "pharmacist"),
        ("Advil", "Tylenol", "auto"),
    ],
)
def test_pairs_in_both_directions_and_with_what_is_taken(
    demo: Vocabulary, one: str, other: str, route: str
) -> None:
    worst = {"auto": 0, "pharmacist": 1, "clarify": 2, "doctor": 3}
    for first, second in ((one, other), (other, one)):
        both = weigh(ordered(demo, first, second))
        beside = weigh(ordered(demo, first), taken=[Taken(second, demo.lookup(second))])
        for verdict in (both, beside):
            found = [reason.route for reason in verdict.reasons if reason.flag.startswith("interaction:")]
            assert max((worst[route] for route in found), default=0) == worst[route]


def test_what_several_medications_give_together(demo: Vocabulary) -> None:
    """Each within the limit of a day; the same medicine under two names is not."""
    orders = ordered(demo, "Panadol 500 mg", "Tylenol 500 mg", dosage="2 tablets three times a day")
    assert all(weigh([order]).route == "auto" for order in orders)
    verdict = weigh(orders)
    (reason,) = [reason for reason in verdict.reasons if reason.flag == "dose_limit:paracetamol"]
    assert (reason.route, reason.items) == ("doctor", (0, 1))
    assert reason.message == "together 6000 mg a day are more than 4000 mg"
    few = weigh(ordered(demo, "Panadol 500 mg", "Tylenol 500 mg", dosage="1 tablet three times a day"))
    assert few.route == "pharmacist"
    assert "dose_limit:paracetamol" not in few.flags
