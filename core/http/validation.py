"""Turns msgspec's sentence about a broken rule into the field, the rule's code and a sentence without values."""

from __future__ import annotations

import re

from cito.core.errors import FieldError, Invalid

_PATH = re.compile(r" - at `(?:key in )?\$?\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<field>[^`]*)`")
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

# msgspec's sentences, most telling first, and the code that clients may rely on.
_RULES: tuple[tuple[str, str], ...] = (
    ("of length <=", "max_length"),
    ("of length >=", "min_length"),
    ("matching regex", "pattern"),
    ("Invalid enum value", "enum"),
    ("Invalid UUID", "uuid"),
    ("Invalid RFC3339", "format"),
    ("Invalid ISO8601", "format"),
    ("Invalid base64", "format"),
    ("multiple of", "multiple_of"),
    ("> ", "minimum"),
    (">= ", "minimum"),
    ("< ", "maximum"),
    ("<= ", "maximum"),
    (", got `", "type"),
)


def field_error(message: str, field: str = "") -> FieldError:
    """Return the broken rule that a msgspec `ValidationError` describes.

    Args:
        message: its text, such as ``Expected `int` >= 1 - at `$.page` ``.
        field: where it was found, when the text does not say so; a path in the text is appended.
    """
    path = _PATH.search(message)
    inner = path.group("path").lstrip(".") if path else ""
    sentence = message[: path.start()] if path else message
    named = _NAMED.match(sentence)
    if named:
        unknown = named.group("what") == "contains unknown"
        last = named.group("field")
        # The name of an unknown field is the client's own text: repeat it only where it looks like a name.
        last = last if _SAFE_NAME.fullmatch(last) else "?"
        rule, sentence = ("unknown", "no such field") if unknown else ("required", "this field is required")
        return FieldError(_join(field, inner, last), rule, sentence)
    rule = next((code for hint, code in _RULES if hint in sentence), "invalid")
    if rule == "enum":
        sentence = "not one of the allowed values"  # msgspec repeats the value; we do not
    if rule == "pattern":
        sentence = "does not have the required form"
    return FieldError(_join(field, inner), rule, sentence.replace("`", ""))


def invalid_request(errors: tuple[FieldError, ...]) -> Invalid:
    """Return the problem for broken rules; `detail` names the first."""
    if not errors:
        return Invalid()
    first = errors[0]
    return Invalid(f"{first.field}: {first.message}" if first.field else first.message, errors=errors)


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part and part != "...")
