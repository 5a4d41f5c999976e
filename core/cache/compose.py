"""An answer made of several entries: valid while each of them is, the same bytes under the same validator."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from cito.core.cache.entry import DEAD, Entry


def compose(parts: Sequence[Entry[Any]], body: bytes) -> Entry[Any]:
    """Return one answer for several.

    It is made for one request and kept nowhere: what is kept are its parts, each fresh by its own tags.

    Args:
        parts: all that the body was made of, the one that leads first; none of them `not_modified`.
        body: encoded JSON, a function of the parts alone.
    """
    first = parts[0]
    whole: Entry[Any] = Entry(first.plan, first.key, first.clinic_id, ())
    whole.body = body
    whole.outcome = "composed"  # the fast path keeps what one local entry answers, and this is no such thing
    whole.check_at = DEAD
    whole.patients = tuple(dict.fromkeys(patient for part in parts for patient in part.patients))
    whole.loaded_at = min(part.loaded_at for part in parts)
    digest = blake2b("".join(part.etag for part in parts).encode(), digest_size=12).hexdigest()
    whole.etag = f'".c{digest}"'
    return whole
