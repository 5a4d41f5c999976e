"""The whole vocabulary in memory: it answers without a round trip, and never a moment longer than it may."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import psycopg
import pytest
from support import Site

from cito.core.app import opened
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.telemetry import Record, What, current_record
from cito.plugins.drugs import editing, memory, service
from cito.plugins.drugs.cache import EVERYTHING
from cito.plugins.drugs.memory import at_hand, made
from cito.plugins.drugs.models import NewDrug, Resolution, Status
from cito.plugins.drugs.vocabulary import Vocabulary


@pytest.fixture
async def context(case_site: Site) -> AsyncIterator[Context]:
    async with opened(case_site.assembly, case_site.urls, Clock()) as process:
        yield process


async def in_memory(context: Context) -> Vocabulary:
    """Wait until the vocabulary is at hand."""
    for _ in range(1000):
        found = at_hand(context)
        if found is not None:
            return found
        await made(context)
        memory._held[context.cache].next_at = 0.0  # no pause: the relay vouches from some moment on
        await asyncio.sleep(0.01)
    pytest.fail("the vocabulary was not at hand after ten seconds")


async def statuses(context: Context, *names: str) -> list[str]:
    answers = await service.look_up_many(context, names)
    return [(a if isinstance(a, Resolution) else a.value).status.value for a in answers]


async def test_cold_names_need_nobody(context: Context) -> None:
    await in_memory(context)
    record = Record("http")
    token = current_record.set(record)
    found = await statuses(context, "Keflex 250mg caps", "amoxicillin clavulanate", "Vioxx", "", "500mg")
    current_record.reset(token)
    assert found == ["resolved", "resolved", "inactive", "invalid", "not_found"]
    assert not [event for event in record.events if event.what in {What.QUERY, What.SHARED_CACHE}]
    assert record.cache == "local"


async def test_similar_names_are_left_to_the_tables(context: Context) -> None:
    await in_memory(context)
    record = Record("http")
    token = current_record.set(record)
    found = await statuses(context, "panadol", "paracetomol 1g", "Tylenol 4")
    current_record.reset(token)
    assert found == ["resolved", "suggest", "suggest"]
    assert [event.name for event in record.events if event.what is What.QUERY] == ["lookup_drugs"]


async def test_a_writer_reads_its_own_write(context: Context) -> None:
    await in_memory(context)
    assert await statuses(context, "ownwrite") == ["not_found"]
    await editing.add(context, NewDrug(generic_name="ownwrite"))
    assert at_hand(context) is None
    assert await statuses(context, "ownwrite", "panadol") == ["resolved", "resolved"]


async def test_a_write_past_the_application_ends_it_soon(case_site: Site, context: Context) -> None:
    await in_memory(context)
    assert await statuses(context, "Dilaudid") == ["resolved"]
    async with await psycopg.AsyncConnection.connect(case_site.urls.owner) as owner:
        await owner.execute(
            "update drugs set is_active = false where generic_name = 'hydromorphone' and is_active"
        )
    for _ in range(500):
        if await statuses(context, "Dilaudid") == [Status.INACTIVE.value]:
            return
        await asyncio.sleep(0.01)
    pytest.fail("five seconds later the withdrawn drug still resolves")


async def test_a_vocabulary_that_does_not_fit_is_not_loaded_over_and_over(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = context.cache.plans[EVERYTHING.name]
    await in_memory(context)
    too_small = dataclasses.replace(plan.family, max_bytes=100)
    monkeypatch.setattr(plan, "family", too_small)
    monkeypatch.setattr("cito.plugins.drugs.memory.EVERYTHING", too_small)
    await context.cache.bump(EVERYTHING.name)
    held = memory._held[context.cache]
    for _ in range(100):
        held.next_at = 0.0
        assert at_hand(context) is None
        await made(context)
        if held.next_at > context.clock.monotonic() + 100:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("it would be loaded again every two seconds")
    assert await statuses(context, "panadol") == ["resolved"]
