"""Names as people write them, on the demo vocabulary: what must resolve, and what must stay a question."""

from __future__ import annotations

import pytest

from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("typed", "generic", "strength", "form"),
    [
        # brand, strength and form in any order
        ("0.5mg alprazolam", "alprazolam", "0.5 mg", None),
        ("paracetamol - 500mg - tablet", "paracetamol", "500 mg", "tablet"),
        ("asa 81mg ec tab", "aspirin", "81 mg", "tablet"),
        ("Lamictal ODT", "lamotrigine", None, "orally disintegrating tablet"),
        ("Panadol Extra 500mg/65mg tabs", "paracetamol/caffeine", "500 mg/65 mg", "tablet"),
        ("Combivent Respimat", "ipratropium/salbutamol", None, "inhaler"),
        ("enoxaparin 40mg/0.4ml", "enoxaparin", "40 mg/0.4 mL", None),
        # a decimal comma, a thousand
        ("digoxin 0,125 mg", "digoxin", "0.125 mg", None),
        ("digoxin 0,0625 mg", "digoxin", "0.0625 mg", None),
        ("Warfarin 2,5 mg", "warfarin", "2.5 mg", None),
        ("paracetamol 1,000 mg", "paracetamol", "1000 mg", None),
        ("heparin 1,000,000 units", "heparin", "1000000 units", None),
        # salts
        ("metformin HCl 500 mg", "metformin", "500 mg", None),
        ("oxycodone hcl", "oxycodone", None, None),
        ("dextromethorphan HBr", "dextromethorphan", None, None),
        ("atropine sulphate inj", "atropine", None, "injection"),
        ("levothyroxine sodium 50 mcg", "levothyroxine", "50 mcg", None),
        ("amoxicillin/clavulanate potassium", "amoxicillin/clavulanic acid", None, None),
        # combinations, in any order and by any name of a part
        ("codeine/apap", "codeine/paracetamol", None, None),
        ("lisinopril/hctz", "hydrochlorothiazide/lisinopril", None, None),
        ("ritonavir/lopinavir", "lopinavir/ritonavir", None, None),
        ("salmeterol and fluticasone", "fluticasone/salmeterol", None, None),
        ("lidocaine 2% with epinephrine", "epinephrine/lidocaine", "2%", None),
        ("hydrocodone-acetaminophen 5/325 mg tab", "hydrocodone/paracetamol", "5/325 mg", "tablet"),
        ("tenofovir lamivudine dolutegravir", "dolutegravir/lamivudine/tenofovir disoproxil", None, None),
        # a number that is part of the name
        ("Tylenol #3", "codeine/paracetamol", None, None),
        ("Humulin 70/30", "insulin human/isophane insulin", None, None),
        ("NovoLog 70/30", "insulin aspart/insulin aspart protamine", None, None),
        ("5-FU", "fluorouracil", None, None),
        ("6-mercaptopurine", "mercaptopurine", None, None),
        # a word that makes it another medicine
        ("Robitussin AC", "codeine/guaifenesin", None, None),
        ("Sudafed PE", "phenylephrine", None, None),
        ("Diovan HCT 160/12.5", "hydrochlorothiazide/valsartan", "160/12.5", None),
        ("Claritin-D", "loratadine/pseudoephedrine", None, None),
        ("Nurofen Plus 200mg/12.8mg tablets", "codeine/ibuprofen", "200 mg/12.8 mg", "tablet"),
        ("Nurofen Plus", "codeine/ibuprofen", None, None),
        ("Emend IV 150 mg", "fosaprepitant", "150 mg", None),
        ("Emend IV 150 mg vial", "fosaprepitant", "150 mg", "vial"),
        ("ibuprofen plus codeine", "codeine/ibuprofen", None, None),
        # look-alikes with capitals
        ("hydrOXYzine", "hydroxyzine", None, None),
        ("vinCRIStine", "vincristine", None, None),
        ("St. John\u2019s Wort", "st john's wort", None, None),
    ],
)
def test_what_resolves(
    demo: Vocabulary, typed: str, generic: str, strength: str | None, form: str | None
) -> None:
    answer = demo.lookup(typed)
    assert answer.status is Status.RESOLVED
    assert answer.drug is not None
    assert answer.drug.generic_name == demo.lookup(generic).drug.generic_name  # type: ignore[union-attr]
    assert (answer.parsed.strength, answer.parsed.form) == (strength, form)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        # shares of a whole are a mixture, not a strength
        ("Apidra 75/25", "insulin glulisine"),
        ("insulin lispro 50-50", "insulin lispro"),
        # another product than the one it begins with
        ("Tylenol Cold & Flu", "paracetamol"),
        ("Advil PM", "ibuprofen"),
        ("Calpol Plus", "paracetamol"),
        ("paracetamol plus 500 mg", "paracetamol"),
        ("Fucidin H", "fusidic acid"),
        ("Betnovate-C", "betamethasone"),
        ("Humulin R U-500", "insulin human"),
        ("insulin lispro protamine", "insulin lispro"),
        # one letter, or a part
        ("MSO4", "magnesium sulfate"),
        ("amoxicillin clavulanic", "amoxicillin/clavulanic acid"),
        ("fucidic acid", "fusidic acid"),
        ("2 x paracetamol 500 mg", "paracetamol"),
    ],
)
def test_what_stays_a_question(demo: Vocabulary, typed: str, first: str) -> None:
    answer = demo.lookup(typed)
    assert answer.status is Status.SUGGEST
    assert answer.drug is None
    assert answer.suggestions[0].drug.generic_name == first


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ("act", Status.AMBIGUOUS),
        ("Zantac", Status.INACTIVE),
        ("hcl", Status.NOT_FOUND),
        ("opioid", Status.NOT_FOUND),
        ("statin", Status.NOT_FOUND),
        ("water", Status.NOT_FOUND),
        ("MS", Status.NOT_FOUND),
        ("Ca", Status.NOT_FOUND),
    ],
)
def test_what_is_neither(demo: Vocabulary, typed: str, status: Status) -> None:
    assert demo.lookup(typed).status is status


def test_what_stands_beside_a_name_never_makes_it_another(demo: Vocabulary, demo_drugs: list[Drug]) -> None:
    """Each name of the vocabulary, with each of these beside it, is what it is alone, or a question."""
    wrong = []
    for drug in demo_drugs:
        for name in (drug.generic_name, *drug.brand_names, *drug.keywords):
            alone = demo.lookup(name).drug
            for beside in (" 500 mg", " 10mg tablets", " tab 5", " 0,5 mg", " 12.5/25 mg", " XR"):
                found = demo.lookup(name + beside).drug
                if found is not None and found != alone:
                    wrong.append((name + beside, found.generic_name))
    assert wrong == []
