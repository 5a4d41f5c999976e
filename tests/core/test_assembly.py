from __future__ import annotations

from typing import Any

import pytest

from cito.core.assembly import Assembly
from cito.core.settings import DatabaseSettings, Server, Settings

NOTHING: Any = None


@pytest.mark.parametrize("workers", range(1, 9))
def test_all_processes_of_a_node_together_hold_20_connections_at_most(workers: int) -> None:
    assembly = Assembly(Settings(server=Server(workers=workers)), NOTHING, NOTHING)
    with_pools = workers + 1  # the worker of the jobs
    standing_by, relay, audit = with_pools, 1, 1
    assert with_pools * assembly.pool_size + standing_by + relay + audit <= 20


def test_a_process_has_a_connection_however_few_there_are() -> None:
    few = Settings(database=DatabaseSettings(pool_max=2))
    assert Assembly(few, NOTHING, NOTHING).pool_size == 1
