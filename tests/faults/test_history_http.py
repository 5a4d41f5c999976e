"""The history through API processes of two nodes, as sessions see it: over HTTP, the fast path included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from history import play
from history_http import apis, settings_of
from support import cloned
from trouble import Trouble
from valkey import Valkey

from cito.core.assembly import Assembly, assemble
from cito.core.embedded import Urls


@pytest.fixture
def prepared(urls: Urls, templates: Callable[[Assembly], str], home: Path, valkey: Valkey) -> Iterator[Urls]:
    """Servers of their own, the database as its plugins declare it, and empty."""
    with cloned(urls, templates(assemble(settings_of(home)))) as own:
        yield replace(own, cache=valkey.url)


FULL = [pytest.mark.full, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    "reads", [pytest.param(2_000, id="2000"), pytest.param(300_000, id="300000", marks=FULL)]
)
async def test_a_session_reads_its_own_writes_through_every_process_of_every_node(
    prepared: Urls, tmp_path: Path, reads: int
) -> None:
    """And nobody, on either node, reads what is older than a second."""
    async with apis(prepared, tmp_path, audited=reads > 2_000) as system:
        history = await play(system, reads=reads, writes=0.05 if reads < 100_000 else 0.01)
    found = history.summary()
    assert (history.own_stale, history.own_elsewhere, history.broken) == ([], [], [])
    assert (found["failed"], found["olderThanOneSecond"]) == (0, 0)
    assert history.reads_elsewhere > reads / 20
    assert found["outcomes"]["local"] > reads / 10
    assert history.writes > 0


@pytest.mark.parametrize("reads", [pytest.param(100_000, id="100000", marks=FULL)])
async def test_with_faults_no_answer_over_http_is_older_than_the_bound(
    prepared: Urls, valkey: Valkey, tmp_path: Path, reads: int
) -> None:
    async with apis(prepared, tmp_path, deadline_ms=50, audited=True) as system:
        history = await play(system, reads=reads, faults=Trouble(valkey))
    found = history.summary()
    assert (history.own_stale, history.broken) == ([], [])
    assert found["failed"] == 0
    assert found["stalenessMs"]["max"] < 1_000  # of every family of patients
