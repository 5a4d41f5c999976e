"""`cito bench audit`: one read of patient data, with the audit and without it, all other layers the same.

The answer is ready bytes, so that what is seen is the layers: the dearest case for them. `audit` ships as `cito
serve` does, by a process of its own on the client's core; `without` writes no event.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from harness import CLIENT_CORE, Subject, arguments, compare, report
from litestar import Litestar, Request, Response, get
from litestar.params import FromPath

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.audit.keys import audit_key
from cito.core.audit.ship import Shipper
from cito.core.database.migrations import migrate
from cito.core.declarations import rules
from cito.core.embedded import running
from cito.core.http.asgi import App
from cito.core.http.audit import Audited, concerns
from cito.core.http.auth import Authenticated
from cito.core.http.guard import RouteGuard
from cito.core.http.keys import load_keys
from cito.core.http.limits import Limited, Limits
from cito.core.http.problems import PROBLEM_HANDLERS
from cito.core.http.record import Recorded
from cito.core.http.tokens import TokenVerifier, mint
from cito.core.settings import HttpSettings, Settings

CLINIC, PATIENT = UUID(int=1), UUID("01900000-0000-7000-8000-0000000000aa")
BODY = b'{"lastName":"Person","mrn":"0000"}' * 12
WITH, WITHOUT = "all layers, audit on", "all layers, audit off"


class NoJournal(Journal):
    """Writes nothing."""

    def write(self, entry: Entry) -> None:
        """Let it go."""


@get("/api/patients/{patient_id:uuid}", opt=rules("patients:read", queries=0))
async def read_patient(request: Request[Any, Any, Any], patient_id: FromPath[UUID]) -> Response[bytes]:
    """Answer ready bytes, as a cached read does."""
    concerns(request, (patient_id,))
    return Response(BODY, media_type="application/json")


def application(settings: Settings) -> App:
    """Return the layers of `cito.core.http.layers` around one route."""
    guard: Any = partial(RouteGuard, scopes={"nurse": frozenset({"patients:read"})})
    routes = Litestar(
        [read_patient], middleware=[guard], exception_handlers=PROBLEM_HANDLERS, openapi_config=None
    )
    journal = (Journal if os.environ["AUDIT"] == "on" else NoJournal)(settings.home / "audit")
    limits = Limits(HttpSettings(rate_per_subject_per_second=1e9, rate_per_clinic_per_second=1e9))
    verifier = TokenVerifier(settings.auth, load_keys(settings))
    limited = Limited(Audited(routes, journal, _never), limits)
    return Recorded(Authenticated(limited, verifier), (), 0.01)


async def _never(_: Entry) -> None:
    raise AssertionError("the journal has room")


async def serve(settings: Settings) -> None:
    """Serve the application on PORT."""
    from cito.core.http.server import Server  # noqa: PLC0415 - only the server needs it

    await Server(application(settings), address="127.0.0.1", port=int(os.environ["PORT"])).serve()


def main() -> None:
    """Run the comparison, or one of its processes."""
    role = os.environ.get("ROLE")
    settings = Settings(home=Path(os.environ.get("BENCH_HOME", ".")))
    if role == "server":
        import uvloop  # noqa: PLC0415

        uvloop.run(serve(settings))
    elif role == "shipper":
        asyncio.run(Shipper(settings.home / "audit", os.environ["URL"], audit_key(settings)).run(0.005))
    else:
        _compare()


def _compare() -> None:
    given = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with running(home, durable=True) as urls:
            asyncio.run(migrate(urls.owner, [("core", files("cito.sql") / "core")]))
            settings = Settings(home=home)
            headers = {"Authorization": f"Bearer {mint(settings, 'nurse', CLINIC, 86_400)}"}
            environment = {"BENCH_HOME": folder, "URL": urls.app}
            shipper = subprocess.Popen(
                ["taskset", "-c", CLIENT_CORE, sys.executable, __file__],
                env={**os.environ, **environment, "ROLE": "shipper"},
            )
            subjects = [
                Subject(
                    name,
                    [sys.executable, __file__],
                    f"/api/patients/{PATIENT}",
                    headers,
                    {**environment, "ROLE": "server", "AUDIT": audit},
                )
                for name, audit in ((WITHOUT, "off"), (WITH, "on"))
            ]
            try:
                found = compare(subjects, connections=(32,), rounds=given.rounds, seconds=given.seconds)
            finally:
                shipper.terminate()
                shipper.wait()
    report(found, WITHOUT, path=given.json, title="One read of patient data, ready bytes")


if __name__ == "__main__":
    main()
