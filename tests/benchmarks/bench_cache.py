"""The cache engine in one Litestar route: local hit, shared hit and coalesced load, beside what one would write else.

One hot row (concurrent reads of it share a flight, on either of our ways), the same bytes, no authorisation on either side (`cito bench fast-path` measures the whole). The server has
one core for itself; PostgreSQL, Valkey, relay and load share the other. Goals: a shared hit at least 1.5x Litestar
with one GET of redis-py, a coalesced load at least 2x Litestar with one SELECT on psycopg's pool.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import CLIENT_CORE, Subject, arguments, compare, report
from history_engine import relay
from shelf import INVALIDATIONS, SOURCES, Shelf

from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import running

SUBJECT = Path(__file__).parent / "subjects" / "cached.py"


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__ or "")
    os.sched_setaffinity(0, {int(CLIENT_CORE)})
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with running(home, durable=False) as urls:
            asyncio.run(migrate(urls.owner, SOURCES))
            asyncio.run(install(urls.owner, INVALIDATIONS))
            shelf = Shelf(urls, home, uuid4())
            shelf.psql("insert into items (clinic_id, id, name) values (%s, 1, 'one')", shelf.clinic)
            relaying = multiprocessing.get_context("spawn").Process(target=relay, args=(shelf,), daemon=True)
            relaying.start()
            environment = {
                "OWNER_URL": urls.owner,
                "APP_URL": urls.app,
                "CACHE_URL": urls.cache,
                "SHELF_HOME": folder,
                "CLINIC": str(shelf.clinic),
            }
            body = home / "body.json"
            body.write_text('{"id":1,"name":"one","version":1}')
            bare = [sys.executable, str(SUBJECT.parent / "bare.py"), "litestar", str(body)]
            modes = {
                "Cito, local hit": "local",
                "Litestar + redis-py GET": "redis",
                "Cito, shared hit": "shared",
                "Litestar + psycopg pool": "psycopg",
                "Cito, coalesced load": "coalesced",
            }
            subjects = [Subject("bare Litestar", bare)] + [
                Subject(name, [sys.executable, str(SUBJECT), mode], environment=environment)
                for name, mode in modes.items()
            ]
            found = compare(subjects, connections=(32,), rounds=given.rounds, seconds=given.seconds)
            relaying.terminate()
            relaying.join()
    for reference in ("bare Litestar", "Litestar + redis-py GET", "Litestar + psycopg pool"):
        report(found, reference, path=given.json, title="The cache engine in one Litestar route, one core")


if __name__ == "__main__":
    main()
