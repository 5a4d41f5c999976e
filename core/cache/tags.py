"""The tags that declared families carry, as patterns: what an operator may invalidate, and the coarse ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cito.core.cache.keys import KeyRefused
from cito.core.declarations import CacheFamily, tag_fields, tag_shape

EVERYTHING = "*"
"""In the outbox: begin a new epoch (the schema has changed, or triggers were rebuilt)."""


class DeclaredTags:
    """All tag templates by shape."""

    def __init__(self, families: Iterable[CacheFamily[Any, Any]]) -> None:
        self.families_by_shape: dict[str, list[str]] = {}
        for family in families:
            for tag in family.tags:
                self.families_by_shape.setdefault(tag_shape(tag), []).append(family.name)
        self._patterns = [
            re.compile(".+".join(re.escape(part) for part in shape.split("{}")), re.DOTALL)
            for shape in self.families_by_shape
        ]

    def check(self, tag: str) -> None:
        """Refuse a tag that no family carries.

        Raises:
            KeyRefused: lists the templates.
        """
        if tag not in self.families_by_shape and not any(p.fullmatch(tag) for p in self._patterns):
            known = ", ".join(sorted(self.families_by_shape))
            raise KeyRefused(f"no cache family carries this tag; known are: {known}")

    def coarse(self, family: CacheFamily[Any, Any]) -> tuple[str, ...]:
        """Return tags that together reach every entry of a family: one suffices, as an entry carries all."""
        plain = [tag for tag in family.tags if not tag_fields(tag)]
        return (plain[0],) if plain else (tag_shape(family.tags[0]),)
