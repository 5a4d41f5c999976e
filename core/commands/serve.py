"""`cito serve`: prepare, start, tell the person where everything is, and stop in order."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from uuid import UUID

from cito.core.assembly import Assembly, resolved, servers
from cito.core.commands.output import CANNOT_REACH, WRONG_USAGE, console, fail
from cito.core.forked import Forked
from cito.core.http.tokens import mint
from cito.core.preparation import prepare, seed
from cito.core.process import begin
from cito.core.settings import Settings
from cito.core.supervisor import Part, Supervisor

DEMO_CLINIC = UUID("01900000-0000-7000-8000-000000000001")  # the first of the demo clinics
_READY_SECONDS = 30.0


def serve(assembly: Assembly, clock: datetime | None) -> None:
    """Run one Cito until SIGINT or SIGTERM."""
    settings = assembly.settings
    if clock is not None and settings.environment != "development":
        fail(["--clock: development only"], WRONG_USAGE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both mean: stop in order, however far we are
    with suppress(KeyboardInterrupt), _alone(settings), servers(settings) as urls:
        asyncio.run(prepare(assembly, urls, _say))
        if settings.environment == "development":
            asyncio.run(seed(assembly, urls, None, None))
        supervisor = Supervisor(_parts(assembly, clock), settings.home.resolve() / "run", _say)
        try:
            with supervisor.heeding():
                supervisor.start()
                if _becomes_ready(settings, supervisor):
                    _introduce(assembly)
                supervisor.watch()
        finally:
            supervisor.stop()


def address(settings: Settings, what: str, role: str) -> str:
    """Return the URL of the database (as `owner` or `app`) or of the cache."""
    urls = resolved(settings)
    known = {("database", "owner"): urls.owner, ("database", "app"): urls.app}
    if what == "cache":
        return urls.cache
    if (what, role) not in known:
        fail([f"{what} as {role}: write `database` or `cache`, and --role owner or app"], WRONG_USAGE)
    return known[what, role]


def _parts(assembly: Assembly, clock: datetime | None) -> list[Part]:
    """Return what to run, in starting order, the API last."""

    def role(name: str) -> Callable[[], Forked]:
        return partial(Forked, partial(begin, name, assembly, clock, os.getpid()))

    server = assembly.settings.server
    apis = ["api", *(f"api-{number}" for number in range(2, server.workers + 1))]
    return [
        Part("relay", role("relay"), stop_seconds=5),
        Part("audit", role("audit"), stop_seconds=5),
        Part("worker", role("worker"), stop_seconds=10),
        *(Part(name, role("api"), stop_seconds=server.drain_seconds + 5) for name in apis),
    ]


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the home's lock and see that the port is free: two Citos have two homes and two ports."""
    run = settings.home.resolve() / "run"
    run.mkdir(parents=True, exist_ok=True)
    with (run / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail([f"{settings.home}: served already; stop that first, or set CITO_HOME"], CANNOT_REACH)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.server.host, settings.server.port))
            except OSError as error:
                where = f"{settings.server.host}:{settings.server.port}"
                fail(
                    [f"server.port: {where} is not to be had ({error.strerror}); choose another with --port"],
                    CANNOT_REACH,
                )
        yield


def _becomes_ready(settings: Settings, supervisor: Supervisor) -> bool:
    """Wait until the API is ready; False: it is to stop before that."""
    deadline = time.monotonic() + _READY_SECONDS
    own = ssl.create_default_context()  # our own process, whoever signed its certificate
    own.check_hostname, own.verify_mode = False, ssl.CERT_NONE
    url = f"{_base(settings)}/ready"
    while not supervisor.stopping:
        if time.monotonic() > deadline or "api" in supervisor.ended():
            fail(
                ["the API did not become ready; its log is above, and `cito doctor` says more"], CANNOT_REACH
            )
        try:
            urllib.request.urlopen(url, timeout=2, context=own).close()  # noqa: S310 - our own http URL
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return True
    return False


def _introduce(assembly: Assembly) -> None:
    """Print the URLs, a token, and one curl that works."""
    base = _base(assembly.settings)
    console.print("\n[bold green]Cito is ready.[/]  Ctrl-C stops all of it.\n")
    console.print(f"  API docs   {base}/docs", highlight=False)
    console.print(f"  Health     {base}/health", highlight=False)
    console.print(f"  Live page  {base}/admin/performance\n", highlight=False)
    if assembly.settings.environment != "development":
        return
    token = mint(assembly.settings, "nurse", DEMO_CLINIC)
    console.print("A nurse's token, good for an hour (development only):\n", highlight=False)
    console.print(f"export TOKEN={token}\n", soft_wrap=True, highlight=False)
    asked = [one.plugin.first_request for one in assembly.registry.plugins if one.plugin.first_request]
    if asked:
        console.print("Try:\n", highlight=False)
        console.print(
            f"curl -s -H \"Authorization: Bearer $TOKEN\" '{base}{asked[0]}'\n",
            soft_wrap=True,
            highlight=False,
        )


def _base(settings: Settings) -> str:
    scheme = "https" if settings.server.tls_certificate else "http"
    return f"{scheme}://{settings.server.host}:{settings.server.port}"


def _say(line: str) -> None:
    console.print(line, style="dim", highlight=False)
