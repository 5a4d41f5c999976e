"""Triage against the acceptance cases, and rules one by one on the cases' drugs."""

import json
from uuid import uuid4

import pytest

from cito.plugins.clinical.dosing import parse_timing
from cito.plugins.clinical.vocabulary import Allergy, Severity
from cito.plugins.drugs import triage_rules
from cito.plugins.drugs.models import Drug
from cito.plugins.drugs.triage import triage
from cito.plugins.drugs.triage_models import Allergen, Order, Route, Taken
from cito.plugins.drugs.triage_rules import load_rules
from cito.plugins.drugs.vocabulary import Vocabulary


def asking(vocabulary):
    """Triage of names or (name, dosage[, strength]) with allergies and medicines taken."""

    def run(orders, allergies=(), taken=(), jurisdiction="US"):
        asked = []
        for order in orders:
            name, dosage, strength = (order, None, None) if isinstance(order, str) else (*order, None)[:3]
            resolution = vocabulary.lookup(name)
            timing = None if dosage is None else parse_timing(dosage)
            asked.append(
                Order(
                    name, resolution, strength or resolution.parsed.strength, resolution.parsed.form, timing
                )
            )
        allergens = [Allergen(allergy, vocabulary.lookup(allergy.substance)) for allergy in allergies]
        medicines = [Taken(name, vocabulary.lookup(name)) for name in taken]
        return triage(asked, allergens, medicines, load_rules(), jurisdiction=jurisdiction)

    return run


@pytest.fixture(scope="module")
def ask(vocabulary):
    return asking(vocabulary)


def allergic(substance, severity="SEVERE", *, verified=True):
    return Allergy(substance, Severity(severity), verified)


def check_every_case(ask, shared):
    cases = json.loads((shared / "cases" / "triage.json").read_text())["cases"]
    wrong = []
    for case in cases:
        orders = [m if isinstance(m, str) else (m["name"], m["frequency"]) for m in case["medications"]]
        if case["expect"]["route"] == "invalid":
            with pytest.raises(ValueError, match="at least one"):
                ask(orders)
            continue
        context = case["context"]
        allergies = [
            allergic(a["substance"], a["severity"], verified=a["verified"])
            for a in context.get("allergies", ())
        ]
        verdict = ask(orders, allergies, context.get("active_medications", ()))
        if verdict.route != case["expect"]["route"] or not set(case["expect"]["flags"]) <= set(verdict.flags):
            wrong.append((case["id"], verdict.route, verdict.flags, case["expect"]))
    assert not wrong


def test_every_case(ask, shared):
    check_every_case(ask, shared)


def test_every_case_with_the_demo_vocabulary(demo_drugs, shared):
    check_every_case(asking(Vocabulary(demo_drugs)), shared)


def test_rule_data_speaks_of_what_the_vocabulary_has(demo_drugs):
    rules = load_rules()
    slugs = {slug for drug in demo_drugs for slug in drug.classes}
    assert {slug for classes in rules.group_classes.values() for slug in classes} <= slugs
    assert set(rules.allergy_classes) <= slugs
    reached = {group for drug in demo_drugs for group in rules.groups_of(drug)}
    assert reached == set(rules.members)


@pytest.mark.parametrize(
    ("file", "written", "instead", "because"),
    [
        ("allergy_classes.tsv", "\npenicillin\t", "\nPenicillin\t", "Penicillin is no slug"),
        ("allergy_classes.tsv", "; pcn\tbeta_lactam\t", "; pcn\tlactam\t", "its parent lactam"),
    ],
)
def test_rule_data_that_contradicts_itself_is_refused(monkeypatch, file, written, instead, because):
    read = triage_rules._text
    assert written in read(file)
    monkeypatch.setattr(
        triage_rules,
        "_text",
        lambda name: read(name).replace(written, instead) if name == file else read(name),
    )
    with pytest.raises(ValueError, match=because):
        load_rules.__wrapped__()


@pytest.mark.parametrize(
    ("orders", "allergies", "taken", "expected"),
    [
        (["heroin"], [], [], ("blocked", "controlled:I")),
        (["pregabalin"], [], [], ("doctor", "controlled:V")),
        (["rofecoxib"], [], [], ("clarify", "inactive_drug")),
        (["xyzzy"], [], [], ("clarify", "unknown_drug")),
        (["Panadol", "xyzzy"], [], [], ("clarify", "unknown_drug")),
        ([("Panadol", "sliding scale")], [], [], ("clarify", "unparsed_dosage")),
        ([("Panadol", "biweekly")], [], [], ("clarify", "ambiguous_dosage")),
        ([("Panadol", "1-2 tablets every 4 to 6 hours")], [], [], ("pharmacist", "dosage_needs_review")),
        # allergies
        (["amoxicillin"], [allergic("penicillin")], [], ("blocked", "allergy:class")),
        (["amoxicillin"], [allergic("Penicillins", "MODERATE")], [], ("doctor", "allergy:class")),
        (["cefalexin"], [allergic("penicillin")], [], ("doctor", "allergy:class")),
        (["cefalexin"], [allergic("Augmentin")], [], ("doctor", "allergy:class")),
        (["aspirin"], [allergic("Brufen")], [], ("blocked", "allergy:class")),
        (["celecoxib"], [allergic("Septrin")], [], ("doctor", "allergy:class")),
        (["celecoxib"], [allergic("sulfa drugs")], [], ("doctor", "allergy:class")),
        (["amoxicillin"], [allergic("Augmentin", verified=False)], [], ("doctor", "allergy:ingredient")),
        (["Panadol"], [allergic("peanuts")], [], ("auto", None)),
        (["Panadol"], [allergic("zzyx")], [], ("pharmacist", "allergy:unknown_substance")),
        (["Panadol"], [allergic("amoxicilin")], [], ("clarify", "allergy:unconfirmed")),
        # pairs
        (["fluoxetine"], [], ["qwertzu"], ("clarify", "active_medication_unknown")),
        (["Zocor", "Biaxin"], [], [], ("doctor", "interaction:high")),
        (["tramadol", "Parnate"], [], [], ("doctor", "interaction:high")),
        (["methylphenidate", "Parnate"], [], [], ("doctor", "interaction:high")),
        (["ibuprofen"], [], ["Coumadin"], ("doctor", "interaction:site_rule")),
        (["citalopram", "clarithromycin"], [], [], ("doctor", "interaction:high")),
        (["Panadol"], [], ["Tylenol"], ("pharmacist", "duplicate_ingredient:paracetamol")),
        # amounts and rhythms
        ([("Paracetamol 500mg", "2 tablets four times a day")], [], [], ("auto", None)),
        ([("Paracetamol 500mg", "2 tablets every 4 hours")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol 500mg", "2 tablets every 4 hours as needed")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol", "3 tablets daily", "500 mg")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol", "1 g four times a day")], [], [], ("auto", None)),
        ([("paracetamol 120mg/5ml", "10 ml four times a day")], [], [], ("auto", None)),
        ([("Paracetamol 500mg", "every 2 hours")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol 500mg", "2-2-2")], [], [], ("auto", None)),
        ([("Paracetamol 1000mg", "2-0-1")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol 500mg", "3-3-3")], [], [], ("doctor", "dose_limit:paracetamol")),
        ([("Paracetamol", "2 tablets four times a day")], [], [], ("pharmacist", "dose_unchecked")),
        ([("Paracetamol", "every 2 hours")], [], [], ("pharmacist", "dose_unchecked")),
        ([("Paracetamol", "3-3-3")], [], [], ("pharmacist", "dose_unchecked")),
        ([("Panadol Extra 500/65", "2 tablets daily")], [], [], ("pharmacist", "dose_unchecked")),
        ([("Paracetamol", "1 tablet four times a day")], [], [], ("auto", None)),
        ([("Paracetamol 500mg", "1 tablet daily", "500 mg")], [], [], ("auto", None)),
        ([("Paracetamol 500", "1 tablet daily", "500 mg")], [], [], ("auto", None)),
        ([("Paracetamol 500mg", "1 tablet daily", "5 mg")], [], [], ("clarify", "strength_contradiction")),
        ([("Panadol", "")], [], [], ("clarify", "unparsed_dosage")),
        ([("methotrexate", "2.5 mg once weekly")], [], [], ("pharmacist", "prescription_only")),
        ([("methotrexate", "twice weekly")], [], [], ("doctor", "high_alert_frequency")),
        ([("methotrexate", "as needed")], [], [], ("doctor", "high_alert_frequency")),
        ([("methotrexate", "every Monday")], [], [], ("pharmacist", "prescription_only")),
        ([("methotrexate", "monthly")], [], [], ("pharmacist", "prescription_only")),
    ],
)  # fmt: skip
def test_rules_one_by_one(ask, orders, allergies, taken, expected):
    verdict = ask(orders, allergies, taken)
    route, flag = expected
    assert verdict.route == route, verdict
    assert flag is None or flag in verdict.flags
    assert flag is not None or verdict.flags == () or verdict.route == "auto"


def test_the_jurisdiction_decides_and_a_schedule_elsewhere_still_counts(ask):
    assert ask(["morphine"], jurisdiction="GB").flags[0] == "controlled:II"
    assert ask(["morphine"], jurisdiction="GB").route == "doctor"
    assert ask(["heroin"], jurisdiction="KE").route == "blocked"


def test_every_reason_names_its_items_and_rules_their_source(ask):
    verdict = ask(["co-codamol", "Panadol Extra", "xyzzy", "warfarin"], [], ["Ecotrin"])
    assert verdict.item_routes == (Route.DOCTOR, Route.PHARMACIST, Route.CLARIFY, Route.DOCTOR)
    by_flag = {reason.flag: reason for reason in verdict.reasons}
    assert by_flag["duplicate_ingredient:paracetamol"].items == (0, 1)
    assert by_flag["unknown_drug"].items == (2,)
    site = by_flag["interaction:site_rule"]
    assert (site.items, site.against, site.rule) == ((3,), "Ecotrin", "warfarin+aspirin_and_nsaids")
    assert site.source
    ranks = [reason.route.rank for reason in verdict.reasons]
    assert ranks == sorted(ranks, reverse=True)
    assert verdict.rules_version == load_rules().version


HIGH_PRIORITY_PAIRS = [
    ("lisdexamfetamine", "phenelzine"), ("sertraline", "selegiline"), ("meperidine", "isocarboxazid"),
    ("pethidine", "tranylcypromine"), ("imipramine", "phenelzine"), ("sumatriptan", "tranylcypromine"),
    ("tranylcypromine", "procarbazine"), ("lovastatin", "itraconazole"), ("irinotecan", "ketoconazole"),
    ("ergotamine", "ritonavir"), ("saquinavir", "rifampin"), ("atazanavir", "omeprazole"),
    ("azathioprine", "febuxostat"), ("mercaptopurine", "febuxostat"), ("tizanidine", "fluvoxamine"),
    ("ramelteon", "fluvoxamine"), ("sotalol", "haloperidol"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), HIGH_PRIORITY_PAIRS)
def test_high_priority_list_holds_by_ingredient_in_both_directions(one, other):
    made = [Drug(id=uuid4(), generic_name=name, ingredients=(name,)) for name in (one, other)]
    vocabulary = Vocabulary(made)
    for pair in ((one, other), (other, one)):
        orders = [Order(name, vocabulary.lookup(name)) for name in pair]
        both = triage(orders, (), (), load_rules(), jurisdiction="US")
        beside = triage(
            orders[:1], (), [Taken(pair[1], orders[1].resolution)], load_rules(), jurisdiction="US"
        )
        assert both.route == beside.route == "doctor"
        assert "interaction:high" in both.flags
        assert "interaction:high" in beside.flags


def test_rule_data_is_complete_and_every_row_has_a_source():
    rules = load_rules()
    assert {rule.level for rule in rules.interactions} == {"high", "site_rule"}
    assert all(rule.source and rule.risk for rule in rules.interactions)
    assert all(limit.source and limit.once_mg <= limit.daily_mg for limit in rules.dose_limits.values())
    assert all(alert.source for alert in rules.high_alert)
    assert all(entry.source for entry in rules.allergy_classes.values())
    used = {group for rule in rules.interactions for group in (rule.group, rule.other_group)}
    assert used == set(rules.members)
