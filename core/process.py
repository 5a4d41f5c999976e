"""One process of a Cito: made by the supervisor, or by hand: `python -m cito.core.process api|audit|relay|worker`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from cito.core.app import create_app, opened
from cito.core.assembly import Assembly, assemble_cito, resolved
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.clock import Clock
from cito.core.draining import draining
from cito.core.http.server import Server
from cito.core.jobs.worker import run_worker
from cito.core.logs import set_up_logs
from cito.core.relaying import run_relay
from cito.core.tasks import end

_FOLLOW_SECONDS = 0.5
Role = Callable[[Assembly, Clock], Coroutine[Any, Any, None]]


async def api(assembly: Assembly, clock: Clock) -> None:
    """Serve HTTP until told to stop: intake ends at once, what is in hand is answered."""
    server = assembly.settings.server
    granian = Server(
        create_app(assembly, resolved(assembly.settings), clock),
        address=server.host,
        port=server.port,
        ssl_cert=server.tls_certificate,
        ssl_key=server.tls_key,
    )

    def stop() -> None:
        draining.begin()
        granian.stop()

    _on_stop(stop)
    await granian.serve()


async def worker(assembly: Assembly, clock: Clock) -> None:
    """Run the declared jobs, each by one worker at a time."""
    async with opened(assembly, resolved(assembly.settings), clock) as context:
        await _until_stopped(run_worker(context))


async def relay(assembly: Assembly, _clock: Clock) -> None:
    """Carry what the database says is stale to the shared cache."""
    settings, registry, urls = assembly.settings, assembly.registry, resolved(assembly.settings)
    async with AsyncExitStack() as stack:
        for enabled in registry.plugins:
            await stack.enter_async_context(enabled.plugin.relay_lifespan(settings))
        await _until_stopped(run_relay(settings, registry, urls.app, urls.cache))


async def audit(assembly: Assembly, _: Clock) -> None:
    """Carry the journals of this node's processes to PostgreSQL."""
    settings = assembly.settings
    shipper = Shipper(settings.home / "audit", resolved(settings).app, audit_key(settings))
    await _until_stopped(shipper.run(settings.audit.sync_ms / 1_000))


ROLES: dict[str, Role] = {"api": api, "audit": audit, "relay": relay, "worker": worker}


def main() -> None:
    """Read the arguments, assemble, and run one role."""
    parser = argparse.ArgumentParser(prog="cito.core.process")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--clock", type=datetime.fromisoformat)
    given = parser.parse_args()
    set_up_logs()
    assembly = assemble_cito(given.config, port=given.port, workers=given.workers)
    run(given.role, assembly, Clock(given.clock))


def begin(role: str, assembly: Assembly, clock: datetime | None, parent: int) -> None:
    """Run one role as a child of the process `parent`, and no longer than it."""
    set_up_logs()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    run(role, assembly, Clock(clock))


def run(role: str, assembly: Assembly, clock: Clock) -> None:
    """Run one role on its own event loop until SIGTERM or SIGINT."""
    uvloop.run(ROLES[role](assembly, clock))


def _follow(parent: int) -> None:
    """End with the supervisor, even one that was killed: an orphan would hold the port and the connections."""
    while os.getppid() == parent:
        time.sleep(_FOLLOW_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


async def _until_stopped(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    told = asyncio.Event()
    _on_stop(told.set)
    waiting = asyncio.ensure_future(told.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    if told.is_set():
        await end(task)
        logging.getLogger("cito").info("stopped")
    else:
        await end(waiting)
        await task


def _on_stop(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


if __name__ == "__main__":
    main()
