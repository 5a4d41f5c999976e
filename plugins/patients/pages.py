"""A page of a search as it is shown: who was found, each with the profile that the cache has ready as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cito.core.cache.compose import compose
from cito.core.cache.entry import Entry
from cito.plugins.patients.models import FoundPatients, Hits, Patient

_encode = msgspec.json.encode


def shown_page(found: Entry[Hits], profiles: Sequence[Entry[Patient]]) -> Entry[FoundPatients]:
    """Return the page as one answer.

    Args:
        found: who stands on it.
        profiles: theirs, in the same order. Who has none was deleted or merged a moment ago and is left out.
    """
    page = found.value
    patients = b",".join(
        b'%b,"match":%b}' % (profile.body[:-1], _encode(hit.match))
        for hit, profile in zip(page.hits, profiles, strict=True)
        if not profile.absent
    )
    body = b'{"patients":[%b],"pagination":%b}' % (patients, _encode(page.pagination))
    return compose((found, *profiles), body)
