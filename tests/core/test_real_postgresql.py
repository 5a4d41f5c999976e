"""A PostgreSQL of the system, the oldest that is installed: prepared by the printed script, migrated, served from."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
from support import Budgets, Site, alive, relayed

from cito.core.app import create_app
from cito.core.assembly import assemble, resolved
from cito.core.database.generic import explain_generic
from cito.core.database.proofs import verify_indexes
from cito.core.database.reports import query_report
from cito.core.database.roles import prepare_server, preparing_script
from cito.core.doctor import examine
from cito.core.embedded import Urls
from cito.core.preparation import prepare
from cito.core.seeding import run_seeds, seeds_in_order
from cito.core.settings import CacheSettings, DatabaseSettings, Settings
from cito.plugins.patients.folding import fold

OLDEST = 15
INSTALLED = sorted(
    (int(folder.name), folder / "bin")
    for folder in Path("/usr/lib/postgresql").glob("*")
    if folder.name.isdecimal() and int(folder.name) >= OLDEST
)
pytestmark = pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL 15 or later in /usr/lib/postgresql")


@pytest.fixture(scope="module")
def admin(home: Path) -> Iterator[str]:
    """The superuser's URL of a server as its package configures it, but for where it listens."""
    _, binaries = INSTALLED[0]
    folder = home / "system"
    folder.mkdir()
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(folder, user, user)
    password = folder / "password"
    password.write_text("admin")
    made = ["-D", folder / "data", "-U", "postgres", "--pwfile", password, "-A", "scram-sha-256", "-N"]
    subprocess.run(
        [binaries / "initdb", *made, "-E", "UTF8", "--locale", "C.UTF-8"],
        check=True,
        user=user,
        capture_output=True,
    )
    with (folder / "log").open("wb") as log:
        options = ("fsync=off", "shared_preload_libraries=pg_stat_statements", "listen_addresses=")
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, *(f"--{o}" for o in options)],
            stderr=log,
            user=user,
        )
    url = f"postgresql://postgres:admin@/postgres?host={quote(str(folder), safe='')}"
    try:
        for _ in range(300):
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # nothing of it is needed again
        server.wait(20)


@pytest.fixture(scope="module")
def database(admin: str) -> DatabaseSettings:
    """A database of that server, which its superuser has prepared with psql."""
    passwords = {"owner_password": "o'ne", "app_password": "a two"}
    subprocess.run(
        [INSTALLED[0][1] / "psql", admin, "-v", "ON_ERROR_STOP=1"]
        + [part for name, value in passwords.items() for part in ("-v", f"{name}={value}")],
        input=preparing_script("real"),
        text=True,
        check=True,
        capture_output=True,
    )
    there = admin.partition("@/postgres")[2]
    return DatabaseSettings(
        url=f"postgresql://cito_app:{quote(passwords['app_password'])}@/real{there}",
        owner_url=f"postgresql://cito_owner:{quote(passwords['owner_password'])}@/real{there}",
    )


@pytest.fixture(scope="module")
async def real(database: DatabaseSettings, home: Path, urls: Urls) -> AsyncIterator[Site]:
    """A site on that database."""
    cache = CacheSettings(url=urls.cache)
    assembly = assemble(Settings(home=home / "real", database=database, cache=cache))
    own = resolved(assembly.settings)
    await prepare(assembly, own, lambda _: None)
    seeds = [seed for seed in seeds_in_order(assembly.registry) if seed.name != "patients"]
    await run_seeds(own.owner, seeds, None, lambda *_: None)
    app = create_app(assembly, own)
    async with (
        relayed(assembly, own),
        alive(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cito.test") as client,
    ):
        yield Site(assembly, own, app, client, Budgets(assembly.registry))


async def test_doctor_finds_nothing_and_preparing_again_changes_nothing(real: Site, admin: str) -> None:
    prepare_server(admin, database="real", owner_password="o'ne", app_password="a two")
    findings = await examine(real.assembly, real.urls)
    assert [finding for finding in findings if not finding.ok] == []
    assert f"version {INSTALLED[0][0]}." in next(f.found for f in findings if f.check == "PostgreSQL")


async def test_doctor_says_when_statements_are_compiled(real: Site, admin: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("alter role cito_owner reset jit")
        findings = await examine(real.assembly, real.urls)
        connection.execute("alter role cito_owner set jit = off")
    assert [finding.check for finding in findings if not finding.ok] == ["jit"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/medications?search=aspirin%2081%20mg", "Aspirin 81mg"),
        ("/api/medications/autocomplete?query=asp", "Aspirin"),
        ("/api/drugs/lookup?name=valium", "diazepam"),
    ],
)
async def test_reads_are_served(real: Site, path: str, found: str) -> None:
    answer = await real.client.get(path, headers=real.headers())
    assert answer.status_code == 200
    assert found in answer.text


async def test_a_patient_is_added_and_found_without_accents(real: Site) -> None:
    person = {"firstName": "Zoë", "lastName": "Łukaszewicz", "dateOfBirth": "2011-05-04", "sex": "female"}
    made = await real.client.post("/api/patients", json=person, headers=real.headers())
    assert made.status_code == 201, made.text
    answer = await real.client.get("/api/patients?search=lukaszewicz%20zoe", headers=real.headers())
    assert [patient["id"] for patient in answer.json()["patients"]] == [made.json()["id"]]


async def test_names_fold_as_in_python(real: Site) -> None:
    texts = [f"a{chr(i)}b" for i in range(1, 0x3000) if unicodedata.category(chr(i)) != "Cn"]
    async with await psycopg.AsyncConnection.connect(real.urls.owner) as owner:
        rows = await owner.execute(
            "select name_fold(x) from unnest(%s::text[]) with ordinality as t (x, n) order by n", (texts,)
        )
        assert [row[0] for row in await rows.fetchall()] == [fold(text) for text in texts]


async def test_plans_and_reports_are_to_be_had(real: Site) -> None:
    queries = {name: owned.value for name, owned in real.assembly.sources.queries.items()}
    answer = await real.client.get("/api/medications/autocomplete?query=ibu", headers=real.headers())
    assert answer.status_code == 200
    reported = await query_report(real.urls.owner, real.urls.app, queries)
    assert "suggest_medications" in {figures.name for figures in reported}
    one = [queries["suggest_medications"]]
    proofs = await verify_indexes(real.urls.owner, real.urls.app, one, [])
    assert [proof.verdict for proof in proofs] != ["failed"]
    async with await psycopg.AsyncConnection.connect(
        real.urls.app, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    ) as connection:
        for _ in range(2):  # nothing of the first stays in the session
            plan = await explain_generic(
                connection, "select id from medications where id = $1", "format json"
            )
            assert "$1" in str(plan)
        with pytest.raises(psycopg.errors.UndefinedColumn):
            await explain_generic(connection, "select nothing from medications")
