from __future__ import annotations

from pathlib import Path

import pytest

from cito.core.audit.sync import open_journals
from cito.core.embedded import Urls
from cito.core.http import layers
from cito.core.http.asgi import RECORD
from cito.core.http.layers import Layers
from cito.core.registry import Registry
from cito.core.settings import Settings
from cito.core.telemetry import Record


def test_a_flood_of_refusals_is_no_flood_of_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(layers.time, "monotonic", lambda: now[0])
    made = Layers(Settings(home=tmp_path), Registry(plugins=()), Urls("", "", "", ""))
    for _ in range(3):
        for _ in range(1_000):
            made._note_refusal({RECORD: Record("http")})
        now[0] += 1.1
    made.journal.close()
    [(_, segment)] = open_journals(tmp_path / "audit")
    assert len(list(segment.read(64))) == 3 * 50 + 2  # and the markers of its beginning and end
    segment.close()
