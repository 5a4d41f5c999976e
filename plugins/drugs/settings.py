"""Settings of the plugin `drugs`: `[plugin.drugs]` of cito.toml."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class DrugsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which law counts.

    Attributes:
        jurisdiction: ISO 3166 alpha-2; whose controlled schedules triage goes by.
    """

    jurisdiction: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "US"
