"""What a search asks for: one box and some filters, taken apart into name, record number, phone, e-mail and date.

Pure: the same text means the same thing for the same clinic. Parts are recognised by their form, most telling
first (e-mail, date, identifier, number), and what is left is a name.
"""

from __future__ import annotations

import re
from datetime import date
from uuid import UUID

import msgspec

from cito.core.errors import FieldError, Invalid, invalid
from cito.plugins.patients.dates import DateError, find_date, read_date
from cito.plugins.patients.folding import fold
from cito.plugins.patients.phone import LEAST_SUFFIX, read_phone

LEAST_LETTERS = 2
MOST_LETTERS = 200
MOST_WORDS = 8
MOST_WORD_LETTERS = 60  # as the words of names are kept

_EMAIL = re.compile(r"[^\s@,;:<>()\"]+@[^\s@,;:<>()\"]*")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_EXTENSION = r"(?:extension|extn|ext|x|\#)\.?"
# Letters and digits in one piece, as record and student numbers are: MRN-10001, S20417, 12-A-99; not 415-555-0132x12.
_CODE = re.compile(
    rf"""(?<!\S) (?! (?:[+(]*\d[\d().\-/]{{5,}})? {_EXTENSION} \d{{0,7}} (?!\S))
    (?=\S*\d)(?=\S*[^\W\d_]) [^\W_][\w./-]*(?!\S)""",
    re.IGNORECASE | re.VERBOSE,
)
_LABEL = re.compile(
    r"(?<!\w)(?:mrn|dob|born|tel|phone|mobile|no|id|e-?mail|mailto)\.?[\s:#]+(?=[+(]?\d|[^\W_][\w./-]*\d|\S+@)",
    re.IGNORECASE,
)
_PHONE = re.compile(
    rf"(?<![\w])[+(]*\d(?:[\s().\-/]*\d)+(?:\s*{_EXTENSION}\s*\d{{1,7}})?(?!\w)", re.IGNORECASE
)
# As text processors and East Asian keyboards write them; names are folded by rules of their own.
_PLAIN = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | {chr(wide): chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}
)
_SHORT_NUMBER = re.compile(r"[0-9]{2,3}")  # too short for the end of a phone
_COMPACT_DATE = re.compile(r"(?:18|19|20)\d{6}")
_NO_LETTERS = re.compile(r"[\W_]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # one sign of these scripts is a whole name


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold, all of it; part of the cache key, so that equal searches written differently are one.

    Attributes:
        words: the name's words, folded, the given name first where a comma said which is the family name.
        record_id: a patient's id.
        code: a record or student number, letters and digits only.
        number: a run of digits that may be a record number, a phone or its end, or a date.
        number_born: the date that `number` is, if it is one.
        phone_e164, phone_digits: a phone: whole, and as far as it was written.
        email: an e-mail address or its beginning.
        born: date of birth.
    """

    words: tuple[str, ...] = ()
    record_id: UUID | None = None
    code: str | None = None
    number: str | None = None
    number_born: date | None = None
    phone_e164: str | None = None
    phone_digits: str | None = None
    email: str | None = None
    born: date | None = None

    @property
    def facts(self) -> int:
        """How many parts besides the name must hold."""
        parts = (self.record_id, self.code, self.number, self.phone_digits, self.email, self.born)
        return sum(part is not None for part in parts)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a search as they were sent; None: not sent."""

    search: str | None = None
    phone: str | None = None
    email: str | None = None
    date_of_birth: str | None = None
    patient_id: str | None = None


def interpret(asked: Filters, region: str, locale: str | None) -> Criteria:
    """Return what is asked for.

    Args:
        asked: the box and the filters.
        region: ISO 3166-1 alpha-2 of the clinic: whose phone numbers have no country code.
        locale: BCP 47 of the clinic, which decides about 03/04/2004; None: nothing does.

    Raises:
        Invalid: an empty or too short text, an unreadable or ambiguous date, two different values for one part.
    """
    found: dict[str, object] = {}
    errors: list[FieldError] = []
    for field, raw, read in (
        ("search", asked.search, lambda raw: _box(raw, region, locale)),
        ("phone", asked.phone, lambda raw: _phone(raw, region)),
        ("email", asked.email, _email),
        ("dateOfBirth", asked.date_of_birth, lambda raw: {"born": _date("dateOfBirth", raw, locale)}),
        ("patientId", asked.patient_id, _patient_id),
    ):
        if raw is None:
            continue
        try:
            if not raw.strip():
                raise invalid(field, "required", "is empty")
            for part, value in read(raw.translate(_PLAIN).strip()).items():
                if value is not None and found.setdefault(part, value) != value:
                    raise invalid(field, "contradiction", "contradicts the other parameters")
        except Invalid as problem:
            errors += problem.errors
    if errors:
        raise Invalid(f"{errors[0].field}: {errors[0].message}", errors=tuple(errors))
    return msgspec.convert(found, Criteria)


def _box(raw: str, region: str, locale: str | None) -> dict[str, object]:
    """Take the text of the one box apart."""
    if len(raw) > MOST_LETTERS:
        raise invalid("search", "max_length", f"is longer than {MOST_LETTERS} letters")
    found: dict[str, object] = {}
    rest = _LABEL.sub("", raw)
    if match := _EMAIL.search(rest):
        found |= _email(match.group())
        rest = _without(rest, match)
    if match := _UUID.search(rest):
        found["record_id"] = UUID(match.group())
        rest = _without(rest, match)
    if match := find_date(rest):
        found["born"] = _date("search", match.group(), locale)
        rest = _without(rest, match)
    if match := _CODE.search(rest):
        found["code"] = _NO_LETTERS.sub("", match.group()).lower()
        rest = _without(rest, match)
    if match := _PHONE.search(rest):
        part = _number(match.group(), region)
        found |= part
        rest = _without(rest, match) if part else rest
    if not found and _SHORT_NUMBER.fullmatch(rest):
        return {"number": rest}
    words = _words(rest)
    if words:
        found["words"] = words
    if not found or (set(found) == {"words"} and not _long_enough(words)):
        raise invalid("search", "min_length", f"needs {LEAST_LETTERS} letters or digits")
    return found


def _words(name: str) -> tuple[str, ...]:
    family, comma, given = name.partition(",")
    words = [word[:MOST_WORD_LETTERS] for word in fold(f"{given} {family}" if comma else name).split()]
    if len(words) > MOST_WORDS:
        raise invalid("search", "max_words", f"has more than {MOST_WORDS} words")
    return tuple(words)


def _long_enough(words: tuple[str, ...]) -> bool:
    return sum(map(len, words)) >= LEAST_LETTERS or any(_WIDE.search(word) for word in words)


def _number(written: str, region: str) -> dict[str, object]:
    """A bare run of digits may be several things; one with marks or spaces between is a phone."""
    digits = "".join(str(int(c)) for c in written if c.isdecimal())
    if len(digits) < LEAST_SUFFIX:
        return {}
    phone = read_phone(written, region)
    if not written.isdecimal():
        return {"phone_digits": phone.digits, "phone_e164": phone.e164}
    born = None
    if _COMPACT_DATE.fullmatch(digits):
        try:
            born = read_date(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}", None)
        except DateError:
            born = None
    return {"number": digits, "number_born": born, "phone_e164": phone.e164}


def _phone(raw: str, region: str) -> dict[str, object]:
    phone = read_phone(raw, region)
    if len(phone.digits) < LEAST_SUFFIX:
        raise invalid("phone", "min_length", f"needs the last {LEAST_SUFFIX} digits at least")
    return {"phone_digits": phone.digits, "phone_e164": phone.e164}


def _email(raw: str) -> dict[str, object]:
    return {"email": raw.lower().rstrip(".")}


def _patient_id(raw: str) -> dict[str, object]:
    if _UUID.fullmatch(raw):
        return {"record_id": UUID(raw)}
    code = _NO_LETTERS.sub("", raw).lower()
    if not code or len(raw) > MOST_LETTERS:
        raise invalid("patientId", "pattern", "is neither an id nor a record number")
    return {"code": code}


def _date(field: str, written: str, locale: str | None) -> date:
    try:
        return read_date(written, locale)
    except DateError as error:
        raise invalid(field, error.rule, str(error)) from None


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"
