"""Generated requests over the whole OpenAPI document: no status that is not declared, no crash, no wrong shape.

Each operation by itself, with data that fit its schema and data that do not; then sequences of operations along the
document's links. Both with every part well, with the shared cache stalled every now and then, and with the database's
connections cut. The full counts are 50,000 requests together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import schemathesis
from fuzzing import Sender
from schemathesis.engine.errors import is_inconsistent_replay
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import ensure_resource_availability, use_after_free
from support import CLINIC, OpenSite, Site, shipping
from valkey import Valkey

from cito.core.settings import HttpSettings
from cito.core.tasks import end

log = logging.getLogger(__name__)
UNLIMITED = HttpSettings(rate_per_subject_per_second=1e9, rate_per_clinic_per_second=1e9)
STREAMS = {"performance_live"}  # an endless answer
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
STEPS = 10
FULL = (pytest.mark.full, pytest.mark.timeout(3_600))


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="cito-valkey-") as folder:
        server = Valkey(Path(folder))
        yield server
        server.stop()


@asynccontextmanager
async def repeated(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    async def forever() -> None:
        while True:
            await work()

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        await end(task)


@pytest.fixture(scope="module")
async def site(open_site: OpenSite, valkey: Valkey) -> AsyncIterator[Site]:
    async with open_site(cache_url=valkey.url, http=UNLIMITED) as opened:
        with psycopg.connect(opened.urls.admin) as connection:
            statement = "insert into clinic (id, name, time_zone, region, locale) values (%s, 'C', 'UTC', 'US', 'en-US')"
            connection.execute(statement, [CLINIC])
        async with shipping(opened):
            yield opened


@pytest.fixture(scope="module")
async def schema(site: Site) -> Any:
    """The document, loaded, without the answers that never end."""
    document = (await site.client.get("/docs/openapi.json")).json()
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.generation.update(modes=MODES)
    return loaded.exclude(operation_id=sorted(STREAMS))


def settings(count: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],  # a failure is told as it was found: shrinking it takes minutes
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def exercise(sender: Sender, schema: Any, count: int) -> None:
    """Send as many cases of each operation, right and wrong ones, from a thread."""
    operations = [result.ok() for result in schema.get_all_operations()]
    each = -(-count // (len(operations) * len(MODES)))
    for operation in operations:
        for mode in MODES:

            @settings(each)
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def run(case: Case) -> None:
                answer = sender(case)
                if answer is not None:
                    sender.check(case, answer)

            with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing in it can be wrong
                run()


def follow_links(sender: Sender, schema: Any, count: int) -> None:
    """Send sequences of operations, with ids and ETags from the answers before, from a thread."""
    machine: Any = schema.as_state_machine()
    # While parts fail, a write may be done without its answer.
    in_order = () if sender.faulty else (use_after_free, ensure_resource_availability)

    class Workflow(machine):  # type: ignore[misc]
        def call(self, case: Case, **_: Any) -> Any:
            return sender(case) or hypothesis.reject()

        def validate_response(self, response: Any, case: Case, **_: Any) -> None:
            sender.check(case, response, *in_order, recorder=self.recorder)

    session = 0
    while sender.sent < count:
        session += 1
        try:
            hypothesis.seed(session)(Workflow).run(settings=settings((count - sender.sent) // STEPS + 1))
        except Exception as error:
            # What the server knows by now changed what could follow: go on with other sequences.
            if not (isinstance(error, hypothesis.errors.Flaky) or is_inconsistent_replay(error)):
                raise


@asynccontextmanager
async def everything_well(_: Site, __: Valkey) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def cache_stalled(_: Site, valkey: Valkey) -> AsyncIterator[None]:
    """The shared cache stands still for a quarter of each second."""

    async def stall() -> None:
        with valkey.stalled():
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.75)

    async with repeated(stall):
        yield


@asynccontextmanager
async def database_cut(site: Site, _: Valkey) -> AsyncIterator[None]:
    """Every connection of the application is cut, twenty times a second."""
    async with await psycopg.AsyncConnection.connect(site.urls.admin, autocommit=True) as admin:

        async def cut() -> None:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and usename = 'cito_app'"
            )
            await asyncio.sleep(0.05)

        async with repeated(cut):
            yield


# Hypothesis draws in its own thread and takes what the site draws meanwhile in another for its own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("fault", [everything_well, cache_stalled, database_cut])
@pytest.mark.parametrize(
    ("way", "count"),
    [
        pytest.param(exercise, 50, id="each operation"),
        pytest.param(exercise, 8_700, id="each operation, full", marks=FULL),
        pytest.param(follow_links, 50, id="along the links"),
        pytest.param(follow_links, 8_200, id="along the links, full", marks=FULL),
    ],
)
async def test_generated_requests_get_declared_answers(
    site: Site,
    valkey: Valkey,
    schema: Any,
    *,
    fault: Any,
    way: Any,
    count: int,
) -> None:
    sender = Sender(site, asyncio.get_running_loop(), faulty=fault is not everything_well)
    async with fault(site, valkey):
        await asyncio.to_thread(way, sender, schema, count)
    log.info("%d requests: %s", sender.sent, dict(sorted(sender.statuses.items())))
    assert sender.wrong == {}
    assert sender.sent >= count * 0.97
