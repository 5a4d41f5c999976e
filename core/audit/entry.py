"""One access, as it is written to the journal, and the rows that it becomes: one for each patient."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from uuid import UUID

import msgspec

OPENED, CLOSED = "chain.opened", "chain.closed"


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One access to patient data, a refusal, or an administrative act.

    Attributes:
        occurred_ns: real time, nanoseconds since the epoch.
        actor: the token's subject; `anonymous` where no token held.
        action: `read`, `search`, `create`, `update`, `delete`, `override`, or a word of the route's own.
        outcome: `success`, `refused` (401, 403) or `failed`.
        resource: the resource half of the route's scope, such as `patients`.
        resource_id: id of the thing itself, where the route names one.
        patients: whose data were shown or changed.
        purpose: HL7 PurposeOfUse code that the caller gave.
    """

    occurred_ns: int
    actor: str
    role: str
    clinic_id: UUID | None
    action: str
    outcome: str
    resource: str
    resource_id: str | None
    patients: tuple[UUID, ...]
    request_id: str
    trace_id: str
    purpose: str | None


class Row(msgspec.Struct, array_like=True, frozen=True):
    """One row of `cito.audit_event` without its id and seal: what the seal covers, in this order.

    Attributes:
        chain: the journal that it was written to.
        sequence: place of the access in its journal, from 0.
        ordinal: place of the patient within the access, from 0.
        occurred_us: microseconds since the epoch, the precision that PostgreSQL keeps.
    """

    chain: UUID
    sequence: int
    ordinal: int
    occurred_us: int
    actor: str
    role: str
    clinic_id: UUID | None
    action: str
    outcome: str
    resource: str
    resource_id: str | None
    patient_id: UUID | None
    request_id: str
    trace_id: str
    purpose: str | None


encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
_encode_row = msgspec.json.Encoder().encode


class EntryTemplate:
    """An entry that is written again and again, encoded but for its time and its two ids.

    Args:
        entry: any of them.
    """

    __slots__ = ("_before", "_behind")

    def __init__(self, entry: Entry) -> None:
        blank = msgspec.structs.replace(entry, occurred_ns=0, request_id="", trace_id="")
        behind = f",{msgspec.json.encode(entry.purpose).decode()}]"
        self._before = encode_entry(blank).decode().removeprefix("[0").removesuffix(f'"",""{behind}')
        self._behind = behind

    def fill(self, occurred_ns: int, request_id: str, trace_id: str) -> bytes:
        """Return the encoded entry; the ids hold nothing that JSON escapes."""
        return f'[{occurred_ns}{self._before}"{request_id}","{trace_id}"{self._behind}'.encode()


def rows_of(chain: UUID, sequence: int, entry: Entry) -> Iterator[Row]:
    """Return the rows of one access: one for each patient, one without where there is none (IHE BALP)."""
    for ordinal, patient in enumerate(entry.patients or (None,)):
        yield Row(
            chain,
            sequence,
            ordinal,
            entry.occurred_ns // 1_000,
            entry.actor,
            entry.role,
            entry.clinic_id,
            entry.action,
            entry.outcome,
            entry.resource,
            entry.resource_id,
            patient,
            entry.request_id,
            entry.trace_id,
            entry.purpose,
        )


def seal(key: bytes, previous: bytes, row: Row) -> bytes:
    """Return HMAC-SHA-256 over the previous row's seal and this row: whoever edits a row cannot seal it again."""
    return hmac.digest(key, previous + _encode_row(row), "sha256")


def row_number(row: Row, sealed: bytes) -> int:
    """Return the row's UUIDv7: its time, and bits of its seal, so that sending it again gives the same id."""
    random = int.from_bytes(sealed[:10]) & ((1 << 74) - 1)
    milliseconds = row.occurred_us // 1_000
    return milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & ((1 << 62) - 1)
