"""Runs the declared jobs: each at its rhythm, by one worker of all nodes at a time, with a deadline.

A run is claimed by an update of the job's row, so two workers cannot both have it; a worker that dies leaves a
claim that ends with the job's deadline.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import msgspec

from cito.core.context import Context
from cito.core.database.query import Query, Statement
from cito.core.declarations import Job
from cito.core.telemetry import Record, current_record

_TICK_SECONDS = 1.0
_log = logging.getLogger("cito.jobs")


class Claim(msgspec.Struct, frozen=True):
    """Who wants to run what, and for how long at most."""

    name: str
    every_seconds: float
    deadline_seconds: float


class Claimed(msgspec.Struct, frozen=True):
    """The job is ours until the deadline."""

    name: str


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended."""

    name: str
    duration_ms: float
    error: str


class NoParams(msgspec.Struct, frozen=True):
    """A query without parameters."""


class JobState(msgspec.Struct, frozen=True, rename="camel"):
    """What `/api/admin/performance` shows of a job."""

    name: str
    last_run: datetime | None
    duration_ms: float | None
    next_run: datetime | None
    failures: int
    last_error: str


claim_job = Query("claim_job", Claim, Claimed)
finish_job = Statement("finish_job", Outcome)
job_states = Query("job_states", NoParams, JobState)


async def run_worker(context: Context) -> None:
    """Run every job when it is due, until cancelled."""
    jobs = [owned.value for owned in context.registry.jobs]
    while True:
        for job in jobs:
            await run_due(context, job)
        await asyncio.sleep(_TICK_SECONDS)


async def run_due(context: Context, job: Job) -> bool:
    """Run one job if it is due and nobody else has it; tell whether it ran here."""
    claim = Claim(job.name, job.every_seconds, job.deadline_seconds)
    async with context.database.transaction(None) as transaction:
        if await claim_job.one(transaction, claim) is None:
            return False
    record = Record("job", job.name)
    token = current_record.set(record)
    try:
        await asyncio.wait_for(job.run(context), job.deadline_seconds)
    except Exception as error:  # noqa: BLE001 - a job that fails, whatever it raises, is tried again at its next turn
        record.error = type(error).__name__
        _log.exception("job failed", extra={"job": job.name})
    finally:
        current_record.reset(token)
    record.finish(500 if record.error else 200)
    async with context.database.transaction(None) as transaction:
        await finish_job.run(transaction, Outcome(job.name, record.duration_ns / 1e6, record.error))
    for subscriber in context.registry.job_subscribers:
        subscriber(record)
    return True
