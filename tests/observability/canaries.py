"""Patients whose every field holds a unique marker, and a search for these markers in raw bytes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote


class Canary:
    """One patient; `markers` names each field's marker. No marker is a word, a number or a part of another."""

    def __init__(self) -> None:
        self.markers: dict[str, str] = {}

    def mark(self, field: str) -> str:
        return self.markers.setdefault(field, f"Zq{secrets.token_hex(5)}x")

    def digits(self, field: str, length: int) -> str:
        number = "".join(str(secrets.randbelow(10)) for _ in range(length))
        return self.markers.setdefault(field, number)

    def body(self) -> dict[str, Any]:
        phone = "415" + self.digits("phone", 7)
        other = "415" + self.digits("emergencyPhone", 7)
        return {
            "lastName": self.mark("lastName"),
            "firstName": self.mark("firstName"),
            "middleName": self.mark("middleName"),
            "mrn": self.mark("mrn"),
            "studentNumber": self.mark("studentNumber"),
            "dateOfBirth": "1987-03-29",
            "grade": self.mark("grade"),
            "contact": {
                "phone": phone,
                "email": f"{self.mark('email')}@example.org",
                "address": f"1 {self.mark('address')} Street",
            },
            "emergencyContacts": [
                {
                    "name": self.mark("emergencyName"),
                    "relationship": self.mark("relationship"),
                    "phone": other,
                    "email": f"{self.mark('emergencyEmail')}@example.org",
                }
            ],
            "insurance": [
                {
                    "payer": self.mark("payer"),
                    "memberNumber": self.mark("memberNumber"),
                    "groupNumber": self.mark("groupNumber"),
                }
            ],
        }


def forms(marker: str) -> Iterator[bytes]:
    """Yield what a marker may look like: plain, in another case, encoded, plainly hashed."""
    for text in {marker, marker.lower(), marker.upper()}:
        raw = text.encode()
        yield raw
        yield quote(text).encode()
        yield raw.hex().encode()
        yield text.encode("utf-16-le")
        for padding in range(3):  # base64 of the marker anywhere within a longer text
            encoded = base64.b64encode(b"\0" * padding + raw)
            start, end = -(-padding * 8 // 6), len(encoded) - 4
            yield encoded[start:end]
            yield base64.urlsafe_b64encode(b"\0" * padding + raw)[start:end]
        for kind in ("md5", "sha1", "sha256", "sha512", "blake2b"):
            digest = hashlib.new(kind, raw)
            yield digest.hexdigest()[:24].encode()
            yield digest.digest()[:12]
            yield base64.b64encode(digest.digest())[:16]


def found(markers: Mapping[str, str], places: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return (place, field) for each marker that some place holds in some form."""
    return [
        (place, field)
        for field, marker in markers.items()
        for wanted in (set(forms(marker)),)
        for place, content in places.items()
        if any(form in content for form in wanted)
    ]
