from __future__ import annotations

import asyncio
from time import perf_counter_ns

import pytest

from cito.core import telemetry
from cito.core.telemetry import REPEATED, Record, What, call_site, current_record, track


def test_tracked_operations_land_in_the_current_record_with_their_failure() -> None:
    record = Record("http", "get_medication")
    token = current_record.set(record)
    with track("growth.percentiles"):
        pass
    with pytest.raises(ValueError, match="x"), track("growth.percentiles"):
        raise ValueError("x")
    current_record.reset(token)
    assert [(event.what, event.name, event.code) for event in record.events] == [
        (What.TRACK, "growth.percentiles", ""),
        (What.TRACK, "growth.percentiles", "ValueError"),
    ]


def test_tracking_without_a_record_is_nothing() -> None:
    with track("anything"):
        pass


def test_a_repeated_query_keeps_the_place_of_its_call() -> None:
    record = Record("http", "list_patients")
    for _ in range(REPEATED - 1):
        record.query("find_patient", perf_counter_ns())
    assert record.sites == {}
    record.query("find_patient", perf_counter_ns())
    assert record.runs == {"find_patient": REPEATED}
    assert "test_telemetry.py:" in record.sites["find_patient"]
    assert record.sites["find_patient"].endswith(" test_a_repeated_query_keeps_the_place_of_its_call")


def test_a_slow_query_keeps_the_place_of_its_call() -> None:
    record = Record("http", "search")
    record.query("search_patients", perf_counter_ns() - telemetry.slow_query_ns)
    record.query("find_patient", perf_counter_ns())
    assert set(record.sites) == {"search_patients"}


async def test_the_place_is_found_through_awaits() -> None:
    async def service() -> str:
        await asyncio.sleep(0)
        return call_site()

    assert (await service()).endswith(" service")
