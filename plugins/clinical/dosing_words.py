"""The words of dosing texts, each with the one form that the grammar knows. Whole words only."""

from __future__ import annotations

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = (
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "ninety": 90}
NUMBERS = {word: number for number, word in enumerate((*_UNITS, *_TEENS))} | TENS
# Words that the tokeniser writes as numbers: "twice daily" and "2 times daily" are one phrase.
AS_NUMBERS = {"once": "1 times", "twice": "2 times", "thrice": "3 times", "half": "1/2", "quarter": "1/4"}

_ORDINALS = {
    "second": "2nd",
    "third": "3rd",
    "fourth": "4th",
    "fifth": "5th",
    "sixth": "6th",
    "seventh": "7th",
}


def _same(form: str, *words: str) -> dict[str, str]:
    return dict.fromkeys(words, form)


# The right side is what the rules of `dosing_grammar` are written in.
CANONICAL: dict[str, str] = {
    **_ORDINALS,
    **_same("minute", "minutes", "min", "mins"),
    **_same("hour", "hours", "hr", "hrs", "h"),
    **_same("hourly", "hrly", "hly"),
    **_same("day", "days", "d"),
    **_same("week", "weeks", "wk", "wks"),
    **_same("weekly", "wkly"),
    **_same("month", "months", "mo", "mos", "mth", "mths"),
    **_same("year", "years", "yr", "yrs"),
    **_same("times", "time"),
    **_same("every", "each", "ev"),
    **_same("and", "plus", "et", "&", "+"),
    **_same("at", "@"),
    **_same("max", "maximum"),
    **_same("mon", "monday", "mondays", "mon"),
    **_same("tue", "tuesday", "tuesdays", "tues"),
    **_same("wed", "wednesday", "wednesdays", "weds"),
    **_same("thu", "thursday", "thursdays", "thur", "thurs"),
    **_same("fri", "friday", "fridays"),
    **_same("sat", "saturday", "saturdays"),
    **_same("sun", "sunday", "sundays"),
    **_same("weekday", "weekdays"),
    **_same("weekend", "weekends"),
    **_same("morning", "mornings", "mane", "om"),
    **_same("afternoon", "afternoons"),
    **_same("evening", "evenings"),
    **_same("night", "nights", "nighttime"),
    **_same("bedtime", "hs", "nocte", "bt"),
    **_same("noon", "midday"),
    **_same("lunch", "lunchtime"),
    **_same("dinner", "supper", "dinnertime", "suppertime"),
    **_same("meal", "mealtime"),
    **_same("meals", "mealtimes"),
    **_same("before", "ante"),
    **_same("after", "post"),
    **_same("fortnight", "fortnights"),
    **_same("prn", "sos"),
    # amounts
    **_same("tablet", "tablets", "tab", "tabs", "caplet", "caplets"),
    **_same("capsule", "capsules", "cap", "caps"),
    **_same("pill", "pills"),
    **_same("puff", "puffs"),
    **_same("drop", "drops", "gtt", "gtts"),
    **_same("spray", "sprays", "squirt", "squirts"),
    **_same("patch", "patches"),
    **_same("sachet", "sachets", "packet", "packets"),
    **_same("spoon", "spoons", "spoonful", "spoonfuls", "spoonsful"),
    **_same("tsp", "teaspoon", "teaspoons", "teaspoonful", "teaspoonfuls"),
    **_same("tbsp", "tablespoon", "tablespoons", "tablespoonful", "tablespoonfuls"),
    **_same("ml", "mls", "cc"),
    **_same("mcg", "ug", "microgram", "micrograms"),
    **_same("g", "gram", "grams", "gm"),
    **_same("mg", "mgs", "milligram", "milligrams"),
    **_same("unit", "units", "iu"),
    **_same("click", "clicks"),
    **_same("dose", "doses"),
    **_same("application", "applications"),
    **_same("suppository", "suppositories"),
    **_same("lozenge", "lozenges"),
    **_same("inhalation", "inhalations"),
    **_same("injection", "injections"),
    **_same("vial", "vials", "ampoule", "ampoules", "nebule", "nebules"),
    # giving
    **_same(
        "take", "takes", "taken", "taking", "give", "gives", "given", "administer", "use", "used", "apply"
    ),
    **_same("take", "applied", "inhale", "inject", "instill", "instil", "swallow", "insert", "place"),
    **_same("take", "administered", "dissolve", "drink", "put", "spread", "rub", "inhaled", "injected"),
}

ROUTES = (
    "po",
    "orally",
    "oral",
    "by mouth",
    "per os",
    "sl",
    "sublingually",
    "sublingual",
    "under the tongue",
    "im",
    "intramuscularly",
    "iv",
    "intravenously",
    "sc",
    "sq",
    "subq",
    "subcut",
    "subcutaneously",
    "pr",
    "rectally",
    "pv",
    "vaginally",
    "topically",
    "topical",
    "(?:to|on|onto) (?:the )?(?:skin|affected areas?)",
    "via nebuliser",
    "via nebulizer",
    "by inhalation",
    "(?:by|via|per) (?:the )?(?:oral|sublingual|topical|rectal|vaginal|nasal|inhalation|subcutaneous) route",
    "(?:intra)?nasally",
    "in the nose",
    "(?:into|in) (?:the |your )?lungs",
    "(?:under|into) (?:the |your )?(?:skin|muscle)",
    "ng",
    "via ng tube",
    "(?:in|into) (?:every|both|the) nostrils?",
)
EYES = (
    "ophthalmic",
    "eyedrops?",
    "(?:in|into|to) (?:the |every |both )?(?:(?:right|left|affected) )?eyes?",
    "(?:right|left|both|every) eyes?",
    "os",
    "ou",
)
# Units of an amount; those that are swallowed make "od" mean once daily.
SWALLOWED = ("tablet", "capsule", "pill", "lozenge", "sachet")
UNITS = (
    *SWALLOWED,
    *("puff", "drop", "spray", "patch", "spoon", "tsp", "tbsp", "ml", "mcg", "g", "mg", "unit", "click"),
    *("dose", "application", "suppository", "inhalation", "injection", "vial"),
)
# Anywhere in the text, these make it unsafe to read the rest by rules.
REFUSED = {
    "the order changes over time": (
        "then than increase increases increasing decrease decreasing reduce reducing taper tapering tapered "
        "titrate titrated titration wean weaning initially start starting begin beginning change alternate "
        "alternating loading followed thereafter afterwards next previous"
    ),
    "the order depends on something": (
        "if when unless until till while during awake sliding scale ssi ss inr according depending based "
        "instead whichever otherwise except but between prior minimum least"
    ),
    "the order forbids or stops something": (
        "not no never none without avoid stop stopped hold held skip omit omitted discontinue discontinued cease "
        "withhold dc contraindicated forbidden cancel cancelled nil"
    ),
    "the order leaves a choice": "either maybe perhaps optional optionally divided",
}
REFUSALS = {word: why for why, words in REFUSED.items() for word in words.split()}
