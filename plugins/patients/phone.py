"""Phone numbers as people write them, in E.164 where they say enough for it (libphonenumber's rules)."""

from __future__ import annotations

import re

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

_EXTENSION = re.compile(r"(?:\s*(?:ext|extn|extension|x|#)\.?\s*(\d{1,7}))\s*$", re.IGNORECASE)
LEAST_SUFFIX = 4  # the last digits of a number that may be searched for
_LEAST_DIALLED, _MOST_DIALLED = 7, 15


class Phone(msgspec.Struct, frozen=True):
    """A number, as far as it is understood.

    Attributes:
        e164: `+14155550132`; None: not a whole number in the region it was read for.
        extension: digits behind the number, or None.
        possible: libphonenumber finds the length right for the region.
        local_only: it could be dialled within one area only, and names none.
        digits: the digits as written, without extension; for suffixes.
    """

    e164: str | None
    extension: str | None
    possible: bool
    local_only: bool
    digits: str


def read_phone(raw: str, region: str) -> Phone:
    """Read a number as of `region` (ISO 3166-1 alpha-2), which decides what one without country code means."""
    body = _EXTENSION.sub("", raw)
    digits = "".join(str(int(c)) for c in body if c.isdecimal())
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return Phone(None, None, possible=False, local_only=False, digits=digits)
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != ValidationResult.IS_POSSIBLE:
        local = reason == ValidationResult.IS_POSSIBLE_LOCAL_ONLY
        return Phone(None, number.extension, possible=False, local_only=local, digits=digits)
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return Phone(e164, number.extension, possible=True, local_only=False, digits=digits)


def worth_keeping(phone: Phone) -> bool:
    """Whether a number is kept as it was written: understood, or of a length that someone abroad could dial."""
    return phone.e164 is not None or _LEAST_DIALLED <= len(phone.digits) <= _MOST_DIALLED
