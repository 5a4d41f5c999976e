"""The cache cases K1 to K8 and B5, on the real cache and database."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import redis.asyncio
from msgspec import structs
from support import Site

from cito.core.app import opened
from cito.core.cache.keys import family_scope, value_shape
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.telemetry import Record, What, current_record
from cito.plugins.drugs import deciding, service
from cito.plugins.drugs.cache import LOOKUP, NameKey
from cito.plugins.drugs.models import Drug, Resolution, Status

ADMIN = "admin"


@pytest.fixture
async def context(case_site: Site) -> AsyncIterator[Context]:
    """Another process of the same site; patient, so that a busy machine is no fault of the shared tier."""
    settings = case_site.assembly.settings
    patient = structs.replace(settings, cache=structs.replace(settings.cache, deadline_ms=5_000))
    async with opened(replace(case_site.assembly, settings=patient), case_site.urls, Clock()) as other:
        await vouched(other)
        yield other


async def vouched(context: Context) -> None:
    """Wait until the relay vouches for the cache: before, every read goes to the database."""
    for attempt in range(1000):
        await service.look_up(context, f"vouched {attempt}")
        if context.cache.plans[LOOKUP.name].counts.miss:
            return
        await asyncio.sleep(0.01)


async def look_up(site: Site, name: str) -> dict[str, Any]:
    said = await site.client.get("/api/drugs/lookup", params={"name": name}, headers=site.headers())
    assert said.status_code == 200
    answer: dict[str, Any] = said.json()
    return answer


async def added(site: Site, **drug: Any) -> dict[str, Any]:
    said = await site.client.post("/api/drugs", json=drug, headers=site.headers(ADMIN))
    assert said.status_code == 201, said.text
    answer: dict[str, Any] = said.json()
    return answer


def steps(record: Record, what: What) -> int:
    return sum(event.what is what for event in record.events)


async def test_k1_a_new_drug_ends_not_found_at_once(case_site: Site) -> None:
    assert (await look_up(case_site, "newdrug"))["status"] == "not_found"
    drug = await added(case_site, genericName="newdrug", brandNames=["NewBrand"])
    for name, how in (("newdrug", "generic"), ("NewBrand", "brand")):
        answer = await look_up(case_site, name)
        assert (answer["status"], answer["drug"]["id"], answer["matchedOn"]) == ("resolved", drug["id"], how)


async def test_k2_not_found_is_remembered(context: Context) -> None:
    record = Record("http")
    token = current_record.set(record)
    first, second = [await service.look_up(context, "xyzzy") for _ in range(2)]
    current_record.reset(token)
    assert first == second == Resolution(Status.NOT_FOUND)
    assert steps(record, What.QUERY) == 1
    assert [event.code for event in record.events if event.what is What.CACHE] == ["miss", "negative"]


async def test_k3_a_decision_sees_a_new_schedule_at_once(case_site: Site, context: Context) -> None:
    """The schedule is changed behind the cache's back; what is shown may lag, what decides may not."""
    (before,) = await deciding.resolve_to_decide(context, ["tramadol"])
    assert before.drug is not None
    async with await psycopg.AsyncConnection.connect(case_site.urls.owner) as owner:
        await owner.execute("update drug_schedules set schedule = 'II' where drug_id = %s", (before.drug.id,))
    (after,) = await deciding.resolve_to_decide(context, ["tramadol"])
    assert after.drug is not None
    assert [schedule.schedule for schedule in after.drug.schedules] == ["II"]
    async with await psycopg.AsyncConnection.connect(case_site.urls.owner) as owner:
        await owner.execute("update drugs set is_active = false where id = %s", (before.drug.id,))
    (withdrawn,) = await deciding.resolve_to_decide(context, ["tramadol"])
    assert withdrawn.status == Status.INACTIVE


async def test_a_decision_reads_all_its_drugs_in_one_query(context: Context) -> None:
    names = ["paracetamol", "Valium", "xyzzy", "paracetomol", "morphine", "", "co-codamol"]
    await deciding.resolve_to_decide(context, names)  # warm
    record = Record("http")
    token = current_record.set(record)
    answers = await deciding.resolve_to_decide(context, names)
    current_record.reset(token)
    assert [answer.status.value for answer in answers] == [
        *("resolved", "resolved", "not_found", "suggest", "resolved", "invalid", "resolved")
    ]
    assert [event.name for event in record.events if event.what is What.QUERY] == ["find_drugs"]


async def test_decisions_that_are_made_together_are_one_query(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [("paracetamol", "Valium"), ("morphine", "paracetamol"), ("xyzzy", "paracetomol"), ("codeine",)]
    alone = [await deciding.resolve_to_decide(context, names) for names in batches]
    all_are_here = asyncio.Barrier(len(batches))

    async def looked_up(context: Context, names: Sequence[str]) -> Sequence[Any]:
        answers = await service.look_up_many(context, names)
        await all_are_here.wait()
        return answers

    monkeypatch.setattr(deciding, "look_up_many", looked_up)
    records = [Record("http") for _ in batches]

    async def decided(names: Sequence[str], record: Record) -> Sequence[Resolution]:
        current_record.set(record)
        return await deciding.resolve_to_decide(context, names)

    together = await asyncio.gather(*map(decided, batches, records))
    read = [[event.code for event in record.events if event.name == "find_drugs"] for record in records]
    # One query for all; on a machine under load it may be tried again, for all.
    assert all(read)
    assert [sorted(one) for one in zip(*read, strict=True)] == [["", *["coalesced"] * 3]] * len(read[0])
    assert list(together) == alone


async def test_k4_a_renamed_brand(case_site: Site) -> None:
    drug = await added(case_site, genericName="renamable", brandNames=["Oldbrand"])
    assert (await look_up(case_site, "oldbrand"))["status"] == "resolved"
    said = await case_site.client.patch(
        f"/api/drugs/{drug['id']}",
        json={"brandNames": ["Freshname"]},
        headers=case_site.headers(ADMIN, **{"If-Match": '"1"'}),
    )
    assert said.status_code == 200, said.text
    assert said.json()["version"] == 2
    assert (await look_up(case_site, "oldbrand"))["status"] == "not_found"
    assert (await look_up(case_site, "freshname"))["drug"]["id"] == drug["id"]


async def test_k5_a_stalled_cache_is_gone_round(case_site: Site, context: Context) -> None:
    async with redis.asyncio.Redis.from_url(case_site.urls.cache) as valkey:
        await valkey.client_pause(1500, all=True)
        answers = await asyncio.gather(*(service.look_up(context, name) for name in ("panadol", "xyzzy")))
    panadol, unknown = answers
    assert not isinstance(panadol, Resolution)
    assert panadol.outcome == "bypass"
    assert panadol.value.drug is not None
    assert isinstance(unknown, Resolution)


async def test_k6_fifty_at_once_are_one_query(context: Context) -> None:
    before = context.cache.plans[LOOKUP.name].counts.loads
    found = await asyncio.gather(*(service.look_up(context, "Glucophage 500mg tabs") for _ in range(50)))
    assert {answer.value.drug.generic_name for answer in found} == {"metformin"}  # type: ignore[union-attr]
    assert context.cache.plans[LOOKUP.name].counts.loads == before + 1


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.full)])
async def test_k7_guessing_pushes_nothing_out(context: Context, count: int) -> None:
    await service.look_up(context, "panadol")
    chance = random.Random(count)
    for _ in range(count // 100):
        await service.look_up_many(
            context, ["".join(chance.choices(string.ascii_lowercase, k=12)) for _ in range(100)]
        )
    plan = context.cache.plans[LOOKUP.name]
    assert sum(entry.absent for entry in plan.entries.values()) < 1100  # the engine keeps about 1,000
    assert NameKey("panadol") in plan.entries


def test_k8_another_model_is_another_key() -> None:
    shape, other = value_shape(Resolution), value_shape(Drug)
    models = ((LOOKUP.version, shape), (LOOKUP.version + 1, shape), (LOOKUP.version, other))
    assert len({family_scope(LOOKUP.name, *model, None) for model in models}) == 3


async def test_b5_twenty_cold_names(
    context: Context, case_names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the vocabulary in memory: one read of the shared tier, one query, one write back; warm: no query."""
    names = [f"{name} 10 mg" for name in case_names.values()][:20]
    monkeypatch.setattr(service, "at_hand", lambda _: None)
    trips = count_trips(context)
    record = Record("http")
    token = current_record.set(record)
    await service.look_up_many(context, names)
    await asyncio.sleep(0)  # the write back leaves at the end of the tick
    await asyncio.gather(*context.cache._resolver._tasks)
    assert (steps(record, What.QUERY), trips) == (1, ["read", "store"])
    await service.look_up_many(context, names)
    current_record.reset(token)
    assert steps(record, What.QUERY) == 1
    assert trips[2:] in ([], ["read"])  # the local tier asks the shared one when it has not been vouched for


def count_trips(context: Context) -> list[str]:
    """Note each round trip to the shared tier from here on."""
    shared, trips = context.cache._resolver.shared, []
    assert shared is not None
    read, store = shared.read, shared.store

    async def noted_read(*wanted: Any) -> Any:
        trips.append("read")
        return await read(*wanted)

    async def noted_store(values: Any) -> None:
        trips.append("store")
        await store(values)

    shared.read, shared.store = noted_read, noted_store  # type: ignore[method-assign]
    return trips


async def test_a_write_past_the_application_is_seen_soon(case_site: Site, context: Context) -> None:
    found = await service.look_up(context, "Calpol")
    assert not isinstance(found, Resolution)
    async with await psycopg.AsyncConnection.connect(case_site.urls.owner) as owner:
        await owner.execute("delete from drug_aliases where name = 'Calpol'")
    for _ in range(500):
        if isinstance(await service.look_up(context, "Calpol"), Resolution):
            return
        await asyncio.sleep(0.01)
    pytest.fail("five seconds later the deleted name is still answered")
