"""How names are compared: the same in Python as `name_fold` in SQL, which a property test holds together.

Policy: NFKD, case folded, accents off, letters that Unicode keeps whole (l-stroke, o-slash, ...) named one by one,
apostrophes dropped, every other punctuation parts words.
"""

from __future__ import annotations

import re
import unicodedata

_DROPPED = re.compile(
    "['\u0060\u00ad\u00b4\u02b9-\u02bf\u02c8\u200b-\u200d\u2018-\u201b\u2032\u2060\ufeff\uff07]"
)
_MARKS = re.compile("['\u02b9-\u02bf\u0300-\u036f]")
_WHOLE = str.maketrans(
    {
        **dict(
            zip(
                "\u0142\u0111\u00f8\u0131\u0127\u0167\u0180\u0268\u0289\u024d\u024f\u019a\u0237\u0138",
                "ldoihtbiuryljq",
                strict=True,
            )
        ),
        "\u00e6": "ae",
        "\u0153": "oe",
        "\u00fe": "th",
        "\u00f0": "d",
        "\u014b": "ng",
    }
)
_PARTING = re.compile(
    "[\u0001-\u002f:-@\\[-\u0060\\{-\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff"
    "\u3000-\u3004\u3008-\u3020\u30fb\ufe00-\ufe6f]+"
)


def fold(name: str) -> str:
    """Return a name's words of letters and digits, one space apart: `"Ó Briain-Łuk"` gives `"o briain luk"`."""
    apart = unicodedata.normalize("NFKD", _DROPPED.sub("", name))
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", apart.casefold()))
    return _PARTING.sub(" ", plain.translate(_WHOLE)).strip(" ")
