from __future__ import annotations

import asyncio

import pytest

from cito.core import tasks
from cito.core.tasks import end, leave_if_told, whole


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()
    assert swallowed == 2


async def test_what_a_task_does_on_its_way_out_is_not_interrupted() -> None:
    closed = False

    async def careful() -> None:
        nonlocal closed
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.1)
            closed = True

    task = asyncio.create_task(careful())
    await asyncio.sleep(0)
    await end(task)
    assert closed


async def test_a_swallowed_cancellation_is_noticed_at_the_next_look() -> None:
    async def deaf() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            leave_if_told()
            raise AssertionError from None

    leave_if_told()  # nobody has told this task
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()


async def test_a_task_that_failed_has_nothing_more_to_say() -> None:
    async def fails() -> None:
        raise RuntimeError

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end(task)
    assert task.done()


async def test_work_that_nobody_waits_for_is_finished_and_undone() -> None:
    finish, undone = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        await finish.wait()
        return "done"

    def undo(result: str) -> None:
        assert result == "done"
        undone.set()

    waiting = asyncio.create_task(whole(work(), undo))
    await asyncio.sleep(0)
    await end(waiting)
    finish.set()
    await undone.wait()
    assert await whole(work(), undo) == "done"
