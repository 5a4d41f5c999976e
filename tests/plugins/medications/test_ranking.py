"""What a person types, and what must come first. `first`: the first names in this order; `none`: not on page 1."""

from __future__ import annotations

import pytest
from support import Site

ASPIRIN_81 = ["Aspirin 81mg", "Aspirin EC 81mg", "Ecotrin 81mg"]

# -- strengths, however they are written -----------------------------------------------------------------------
STRENGTHS = [
    ("aspirin 81 mg", ASPIRIN_81),
    ("aspirin 81mg", ASPIRIN_81),
    ("ASPIRIN 81 MG", ASPIRIN_81),
    ("aspirin 81-mg", ASPIRIN_81),
    ("81 mg aspirin", ASPIRIN_81),
    ("aspirin 81", ["Aspirin 81mg", "Aspirin EC 81mg", "Ecotrin 81mg"]),
    ("aspirin 81.0 mg", ASPIRIN_81),
    ("aspirin 81 milligrams", ASPIRIN_81),
    ("  aspirin   81   mg  ", ASPIRIN_81),
    ("levothyroxine 50 mcg", ["Levothyroxine 50mcg", "Synthroid 50mcg"]),
    ("levothyroxine 50 µg", ["Levothyroxine 50mcg", "Synthroid 50mcg"]),
    ("levothyroxine 50 ug", ["Levothyroxine 50mcg", "Synthroid 50mcg"]),
    ("levothyroxine 50 micrograms", ["Levothyroxine 50mcg", "Synthroid 50mcg"]),
    ("xanax .5", ["Xanax 0.5mg", "Xanax XR 0.5mg"]),
    ("xanax 0.50 mg", ["Xanax 0.5mg", "Xanax XR 0.5mg"]),
    ("metformin 1,000 mg", ["Metformin 1000mg", "Glucophage 1000mg"]),
    ("metformin 500", ["Metformin 500mg", "Metformin ER 500mg"]),
    ("hydrocortisone 1%", ["Hydrocortisone Cream 1%", "Cortizone-10 1%"]),
    ("hydrocortisone 1 %", ["Hydrocortisone Cream 1%", "Cortizone-10 1%"]),
    ("lantus 100 units/ml", ["Lantus 100 units/mL", "Lantus SoloStar 100 units/mL"]),
    ("lantus 100 iu/ml", ["Lantus 100 units/mL"]),
    ("amoxicillin 875-125", ["Amoxicillin and Clavulanate Potassium 875mg/125mg", "Augmentin 875mg/125mg"]),
    ("percocet 5/325", ["Percocet 5mg/325mg"]),
    ("percocet 7.5-325", ["Percocet 7.5mg/325mg"]),
    ("amoxicillin 400 mg/5 ml", ["Amoxicillin Suspension 400mg/5 mL"]),
    ("amoxicillin 1 gm", []),
    ("warfarin 1", ["Warfarin 1mg", "Warfarin 10mg"]),
    ("glipizide 2.5", ["Glipizide ER 2.5mg", "Glucotrol XL 2.5mg"]),
]

# -- names: the product itself, then what begins with it, then what contains it -----------------------------------
NAMES = [
    ("asp", ["Aspirin 81mg", "Aspirin 325mg", "Aspirin EC 81mg", "Aspirin EC 325mg", "Bayer Aspirin 325mg"]),
    (
        "aspirin",
        ["Aspirin 81mg", "Aspirin 325mg", "Aspirin EC 81mg", "Aspirin EC 325mg", "Bayer Aspirin 325mg"],
    ),
    (
        "tylenol",
        ["Tylenol Extra Strength 500mg", "Tylenol Regular Strength 325mg", "Tylenol with Codeine 300mg/30mg"],
    ),
    ("tylenol 500", ["Tylenol Extra Strength 500mg"]),
    ("children's tylenol", ["Children's Tylenol 160mg/5 mL"]),
    ("childrens tylenol", ["Children's Tylenol 160mg/5 mL"]),
    ("tylenol children\u2019s", ["Children's Tylenol 160mg/5 mL"]),
    ("lipitor", ["Lipitor 10mg", "Lipitor 20mg", "Lipitor 40mg", "Lipitor 80mg"]),
    ("xanax", ["Xanax 0.25mg", "Xanax 0.5mg", "Xanax 1mg", "Xanax 2mg", "Xanax XR 0.5mg"]),
    ("toprol xl", ["Toprol-XL 25mg", "Toprol-XL 50mg"]),
    ("toprol-xl", ["Toprol-XL 25mg", "Toprol-XL 50mg"]),
    ("advair", ["Advair Diskus 100mcg/50mcg", "Advair Diskus 250mcg/50mcg"]),
    ("retin-a", ["Retin-A 0.025%", "Retin-A 0.05%", "Retin-A 0.1%"]),
    ("k-dur", ["K-Dur 20 mEq"]),
    ("plan b", ["Plan B One-Step 1.5mg"]),
    (
        "insulin lispro",
        ["Insulin Lispro 100 units/mL", "Humalog 100 units/mL", "Humalog KwikPen 100 units/mL"],
    ),
    ("humalog", ["Humalog 100 units/mL", "Humalog KwikPen 100 units/mL"]),
    ("epipen", ["EpiPen 0.3mg", "EpiPen Jr 0.15mg"]),
    ("epi pen", []),
    ("naloxone", ["Naloxone Nasal Spray 4mg", "Narcan 4mg"]),
    ("prozac", ["Prozac 10mg", "Prozac 20mg", "Prozac 40mg"]),
    ("insulin", ["Insulin Aspart 100 units/mL", "Insulin Lispro 100 units/mL"]),
    ("codeine", ["Acetaminophen and Codeine 300mg/30mg", "Acetaminophen and Codeine 300mg/60mg"]),
    ("zithro", ["Zithromax 250mg", "Zithromax 500mg"]),
    ("clavulanate", ["Amoxicillin and Clavulanate Potassium 250mg/125mg"]),
]

# -- brands by their generic name, and the other fields ---------------------------------------------------------------
GENERICS = [
    (
        "atorvastatin",
        ["Atorvastatin 10mg", "Atorvastatin 20mg", "Atorvastatin 40mg", "Atorvastatin 80mg", "Lipitor 10mg"],
    ),
    ("atorvastatin 80", ["Atorvastatin 80mg", "Lipitor 80mg"]),
    ("acetaminophen", ["Acetaminophen 325mg", "Acetaminophen 500mg", "Acetaminophen Children's 160mg/5 mL"]),
    ("semaglutide", ["Ozempic 2mg/3 mL", "Ozempic 4mg/3 mL", "Ozempic 8mg/3 mL", "Rybelsus 3mg"]),
    ("epinephrine", ["Epinephrine Auto-Injector 0.15mg", "Epinephrine Auto-Injector 0.3mg", "Auvi-Q 0.1mg"]),
    ("lisinopril", ["Lisinopril 2.5mg", "Lisinopril 5mg", "Lisinopril 10mg"]),
    ("lisinopril hydrochlorothiazide", ["Lisinopril and Hydrochlorothiazide 10mg/12.5mg"]),
    ("losartan hydrochlorothiazide 100", ["Losartan and Hydrochlorothiazide 100mg/12.5mg"]),
    ("adalimumab", ["Humira 40mg/0.4 mL", "Humira 80mg/0.8 mL"]),
    (
        "albuterol inhaler",
        ["Albuterol Inhalation Aerosol 90mcg", "ProAir RespiClick 90mcg", "Ventolin HFA 90mcg"],
    ),
    ("ondansetron odt", ["Ondansetron ODT 4mg", "Ondansetron ODT 8mg"]),
    ("ondansetron disintegrating", ["Ondansetron ODT 4mg", "Ondansetron ODT 8mg"]),
    ("amoxicillin chewable tablets", ["Amoxicillin Chewable 125mg", "Amoxicillin Chewable 250mg"]),
    ("novo nordisk semaglutide", ["Ozempic 2mg/3 mL"]),
    ("melatonin 3", ["Melatonin 3mg"]),
    ("vitamin", ["Calcium Carbonate and Vitamin D 600mg/400 units"]),
    ("nicotine 21", ["Nicotine Patch 21mg/24 h", "NicoDerm CQ 21mg/24 h"]),
    ("aspirine", []),
    ("no such medicine", []),
    ("50%", []),
    ("a%", []),
    ("asp_rin", []),
    ("asp%rin", []),
    ("*", []),
]


@pytest.mark.parametrize(("search", "first"), [*STRENGTHS, *NAMES, *GENERICS])
async def test_what_comes_first(formulary: Site, search: str, first: list[str]) -> None:
    answer = await formulary.client.get(
        "/api/medications", params={"search": search}, headers=formulary.headers()
    )
    names = [row["name"] for row in answer.json()["medications"]]
    assert names[: len(first)] == first
    assert bool(names) == bool(first)


async def test_one_ingredient_comes_before_combinations(formulary: Site) -> None:
    answer = await formulary.client.get(
        "/api/medications", params={"search": "acetaminophen", "limit": 100}, headers=formulary.headers()
    )
    rows = answer.json()["medications"]
    begins = ["/" in row["genericName"] for row in rows if row["name"].startswith("Acetaminophen")]
    assert begins == sorted(begins)
    assert True in begins
