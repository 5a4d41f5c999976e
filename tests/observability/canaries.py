"""Patients whose every field holds a unique marker, and a search for these markers in raw bytes."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote
from uuid import UUID

import zstandard

_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2s")
_PACKED: dict[bytes, Callable[[], Any]] = {
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"\x78": zlib.decompressobj,
}
_BLAKE2B_BYTES = (8, 16, 20, 32, 64)  # a shorter digest is another one, not the beginning of a longer one


class Canary:
    """One patient.

    Attributes:
        markers: each field's marker: no word, no number, no part of another.
        values: each field's whole value, where it is more than the marker: what a careless hash would be made of.
    """

    def __init__(self) -> None:
        self.markers: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def mark(self, field: str, around: str = "{}") -> str:
        """Return a field's value with its marker within."""
        marker = self.markers.setdefault(field, f"Zq{secrets.token_hex(5)}x")
        return self.values.setdefault(field, around.format(marker))

    def digits(self, field: str, length: int, around: str = "{}") -> str:
        """Return a field's value where only a number is one."""
        number = "".join(str(secrets.randbelow(10)) for _ in range(length))
        return self.values.setdefault(field, around.format(self.markers.setdefault(field, number)))

    def date(self, field: str) -> str:
        """Return a day that nothing else in a test tells."""
        day = f"19{secrets.randbelow(20) + 10}-{secrets.randbelow(12) + 1:02}-{secrets.randbelow(28) + 1:02}"
        return self.values.setdefault(field, self.markers.setdefault(field, day))

    def registered(self, patient_id: str) -> None:
        """Take the id that the patient was given for a marker too."""
        self.markers["id"] = self.values["id"] = patient_id

    def body(self) -> dict[str, Any]:
        """Return what registers the patient."""
        return {
            "lastName": self.mark("lastName", "Gómez {}"),
            "firstName": self.mark("firstName"),
            "middleName": self.mark("middleName"),
            "mrn": self.mark("mrn"),
            "studentNumber": self.mark("studentNumber"),
            "dateOfBirth": self.date("dateOfBirth"),
            "grade": self.mark("grade"),
            "contact": {
                "phone": self.digits("phone", 7, "415{}"),
                "phoneExtension": self.digits("phoneExtension", 11),
                "email": self.mark("email", "{}@example.org"),
                "address": self.mark("address", "1 {} Street"),
            },
            "emergencyContacts": [
                {
                    "name": self.mark("emergencyName"),
                    "relationship": self.mark("relationship"),
                    "phone": self.digits("emergencyPhone", 7, "415{}"),
                    "phoneExtension": self.digits("emergencyExtension", 11),
                    "email": self.mark("emergencyEmail", "{}@example.org"),
                }
            ],
            "insurance": [
                {
                    "payer": self.mark("payer"),
                    "memberNumber": self.mark("memberNumber"),
                    "groupNumber": self.mark("groupNumber"),
                    "validFrom": self.date("validFrom"),
                    "validTo": "2099-12-31",
                }
            ],
        }

    def prescription(self) -> dict[str, Any]:
        """Return a request for medicines for the patient."""
        return {
            "patientId": self.markers["id"],
            "medications": [
                {
                    "medicationName": self.mark("medicationName"),
                    "strength": self.mark("strength", "5 mg {}"),
                    "form": self.mark("form"),
                    "dosage": self.mark("dosage", "1 tablet twice daily {}"),
                }
            ],
            "symptoms": [self.mark("symptoms")],
            "duration": self.mark("duration"),
            "context": {
                "allergies": [{"substance": self.mark("substance")}],
                "activeMedications": [{"name": self.mark("activeMedication")}],
            },
        }

    def decision(self) -> dict[str, Any]:
        """Return a clinician's decision against the rules."""
        return {"route": "doctor", "reason": self.mark("reason", "because {}")}


def forms(marker: str) -> Iterator[bytes]:
    """Yield what a marker may look like: plain, in another case, encoded."""
    for text in {marker, marker.lower(), marker.upper()}:
        raw = text.encode()
        yield from {raw, quote(text).encode(), html.escape(text).encode(), json.dumps(text)[1:-1].encode()}
        yield from (raw.hex().encode(), raw.hex().upper().encode())
        yield text.encode("utf-16-le")[:-1]  # without the last byte it is within UTF-16-BE too
        for padding in range(3):  # base64 of the marker anywhere within a longer text
            encoded = base64.b64encode(b"\0" * padding + raw)
            start, end = -(-padding * 8 // 6), len(encoded) - 4
            yield encoded[start:end]
            yield base64.urlsafe_b64encode(b"\0" * padding + raw)[start:end]
    if len(marker) == 36 and marker.count("-") == 4:
        raw = UUID(marker).bytes
        yield from (raw, raw.hex().encode(), raw.hex().upper().encode())
        yield from (base64.b64encode(raw)[:20], base64.urlsafe_b64encode(raw)[:20])


def hashes(value: str) -> Iterator[bytes]:
    """Yield what a value is when somebody hashes it without a key."""
    for text in {value, value.lower(), value.upper()}:
        raw = text.encode()
        digests = [hashlib.new(kind, raw).digest() for kind in _HASHES]
        digests += [hashlib.blake2b(raw, digest_size=size).digest() for size in _BLAKE2B_BYTES]
        for digest in digests:
            start = digest[:12]
            yield from (start, start.hex().encode(), start.hex().upper().encode())
            yield base64.b64encode(start)[:10]
            yield base64.urlsafe_b64encode(start)[:10]


def found(canary: Canary, places: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return (place, field) for each marker that some place holds in some form."""
    wanted = {
        field: {
            *forms(marker),
            *hashes(marker),
            *hashes(canary.values[field]),
        }
        for field, marker in canary.markers.items()
    }
    hits = []
    for place, content in places.items():
        # Most of a log are lines that were there before: what is there twice is looked through once.
        lines = b"\n".join(dict.fromkeys(content.split(b"\n")))
        hits += [(place, field) for field, texts in wanted.items() if any(text in lines for text in texts)]
    return hits


def unpacked(value: bytes) -> Iterator[bytes]:
    """Yield a value, and what is packed within it (zstd, gzip, zlib), wherever it begins."""
    yield value
    for magic, opened in _PACKED.items():
        at = value.find(magic)
        while at >= 0:
            with suppress(zlib.error, zstandard.ZstdError):
                yield opened().decompress(value[at:])
            at = value.find(magic, at + 1)
