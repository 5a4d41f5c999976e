"""Words that stand beside a medicine's name: forms, routes, release suffixes, units. Folded, to canonical writing.

A word is here only when it can never tell two medicines apart. So `forte`, `plus`, `compound`, `hct` or `pm`
are not: "Diovan HCT" and "Tylenol PM" are other medicines than Diovan and Tylenol.
"""

from __future__ import annotations

_BASES = {
    "ampoule": "ampoule|ampoules|ampule|ampules|amp|amps",
    "balm": "balm",
    "capsule": "capsule|capsules|cap|caps",
    "cream": "cream|creme",
    "drops": "drops|drop|gtt|gtts",
    "elixir": "elixir|elix",
    "emulsion": "emulsion",
    "enema": "enema|enemas",
    "foam": "foam",
    "gel": "gel",
    "granules": "granules|granule",
    "gum": "gum",
    "implant": "implant|implants",
    "infusion": "infusion",
    "inhaler": "inhaler|inhalers|inh|mdi|puffer|evohaler|accuhaler|turbuhaler|turbohaler|diskus|respimat",
    "injection": "injection|injections|injectable|inj",
    "linctus": "linctus",
    "lotion": "lotion",
    "lozenge": "lozenge|lozenges|troche|troches",
    "mouthwash": "mouthwash",
    "nebules": "nebules|nebule|neb|nebs|nebulizer|nebuliser",
    "ointment": "ointment|ointments|oint",
    "paste": "paste",
    "patch": "patch|patches",
    "pen": "pen|pens|kwikpen|flexpen|solostar|autoinjector|auto-injector",
    "pessary": "pessary|pessaries",
    "powder": "powder|pwd|pdr",
    "sachet": "sachet|sachets",
    "shampoo": "shampoo",
    "solution": "solution|soln|sol",
    "spray": "spray",
    "suppository": "suppository|suppositories|supp|supps|suppos",
    "suspension": "suspension|susp",
    "syringe": "syringe|syringes",
    "syrup": "syrup|syr|syp",
    "tablet": "tablet|tablets|tab|tabs|tabl|caplet|caplets|pill|pills",
    "vial": "vial|vials",
    "wafer": "wafer|wafers",
}

# What may stand before a form and belongs to it: "oral suspension" is one form, "oral" alone is a route.
_QUALIFIERS = {
    "chewable": ("tablet", "gum"),
    "dispersible": ("tablet",),
    "dry powder": ("inhaler",),
    "ear": ("drops", "ointment", "spray"),
    "effervescent": ("tablet", "granules"),
    "enteric-coated": ("tablet",),
    "enteric coated": ("tablet",),
    "extended-release": ("tablet", "capsule"),
    "extended release": ("tablet", "capsule"),
    "eye": ("drops", "ointment", "gel"),
    "film-coated": ("tablet",),
    "film coated": ("tablet",),
    "metered dose": ("inhaler",),
    "modified-release": ("tablet", "capsule"),
    "modified release": ("tablet", "capsule"),
    "nasal": ("spray", "drops", "gel", "ointment"),
    "ophthalmic": ("drops", "ointment", "solution", "suspension", "gel"),
    "oral": ("suspension", "solution", "drops", "gel", "paste", "powder", "spray", "syringe", "granules"),
    "orally disintegrating": ("tablet",),
    "otic": ("drops", "solution", "suspension"),
    "prefilled": ("syringe", "pen"),
    "pre-filled": ("syringe", "pen"),
    "prolonged-release": ("tablet", "capsule"),
    "prolonged release": ("tablet", "capsule"),
    "rectal": ("foam", "suppository", "gel", "ointment", "enema"),
    "slow-release": ("tablet", "capsule"),
    "slow release": ("tablet", "capsule"),
    "soluble": ("tablet",),
    "sublingual": ("tablet", "spray"),
    "sustained-release": ("tablet", "capsule"),
    "sustained release": ("tablet", "capsule"),
    "topical": ("cream", "gel", "ointment", "solution", "lotion", "foam", "spray", "powder"),
    "transdermal": ("patch", "gel"),
    "vaginal": ("cream", "gel", "tablet", "suppository"),
}

_SINGLE = {word: form for form, words in _BASES.items() for word in words.split("|")}

# Folded phrase -> canonical form. Longest phrase first is the reader's business.
FORMS: dict[str, str] = {
    **_SINGLE,
    **{
        f"{qualifier} {word}": f"{qualifier} {form}"
        for qualifier, forms in _QUALIFIERS.items()
        for word, form in _SINGLE.items()
        if form in forms
    },
    "odt": "orally disintegrating tablet",
    "for oral suspension": "oral suspension",
    "for injection": "injection",
    "solution for injection": "injection",
}

_ROUTES = {
    "oral": "oral|orally|po|per os|by mouth",
    "intravenous": "iv|intravenous|intravenously",
    "intramuscular": "im|intramuscular",
    "subcutaneous": "sc|subcut|subq|sq|subcutaneous",
    "sublingual": "sl|sublingual",
    "buccal": "buccal",
    "rectal": "rectal|rectally",
    "vaginal": "vaginal|vaginally",
    "topical": "topical|topically",
    "transdermal": "transdermal",
    "nasal": "nasal|intranasal",
    "inhalation": "inhalation|inhaled",
    "ophthalmic": "ophthalmic|eye",
    "otic": "otic|ear",
    "intrathecal": "intrathecal",
    "intradermal": "intradermal",
}

ROUTES: dict[str, str] = {word: route for route, words in _ROUTES.items() for word in words.split("|")}

# Release and device suffixes: the same drug, given off otherwise. `pr` is prolonged release here, not per rectum.
_RELEASE = (
    "cc|cd|cr|dr|ds|ec|er|gr|hfa|ir|la|lp|mr|oros|pr|retard|sa|slo|sr|xl|xr|xt|dpi|hbs|"
    "chewable|dispersible|effervescent|soluble|enteric-coated|film-coated|prefilled|pre-filled"
)
_HOW = "controlled|delayed|extended|immediate|modified|prolonged|slow|sustained"

RELEASE: frozenset[str] = frozenset(_RELEASE.split("|")) | {
    f"{how}{joint}release" for how in _HOW.split("|") for joint in ("-", " ")
}

_UNITS = {
    "mg": "mg|mgs|milligram|milligrams",
    "g": "g|gm|gms|gram|grams",
    "mcg": "mcg|ug|\u03bcg|microgram|micrograms|micro",
    "ng": "ng|nanogram|nanograms",
    "kg": "kg",
    "mL": "ml|mls|cc|milliliter|milliliters|millilitre|millilitres",
    "L": "l|liter|litre",
    "%": "%|percent",
    "units": "units|unit|u",
    "IU": "iu|ius",
    "mmol": "mmol",
    "mEq": "meq",
    "dose": "dose|actuation|act|puff|spray",
    "h": "h|hr|hour|hrs",
    "tablet": "tablet|tab",
    "capsule": "capsule|cap",
    "vial": "vial",
}

UNITS: dict[str, str] = {word: unit for unit, words in _UNITS.items() for word in words.split("|")}

# Units that only follow a stroke: "90 mcg/actuation". On their own, "2 tablets" is a quantity.
PER_ONLY: frozenset[str] = frozenset({"dose", "h", "tablet", "capsule", "vial", "kg"})
