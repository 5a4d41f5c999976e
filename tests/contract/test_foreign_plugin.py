"""A plugin from another distribution joins by the same door as ours: nothing here knows it.

The tutorial's source is built and installed into a folder of its own, without a network.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from support import CLINIC, OTHER_CLINIC, OpenSite, Site

from cito.core.database.proofs import verify_indexes
from cito.core.ids import new_id
from cito.core.registry import installed

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "examples" / "cito-dental"


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the foreign distribution was installed, from a copy of its source."""
    source = shutil.copytree(TUTORIAL, tmp_path_factory.mktemp("source") / "cito-dental")
    target = tmp_path_factory.mktemp("site-packages")
    command = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--offline"]
    command += ["--no-deps", "--no-build-isolation", "--python", sys.executable, "--target", target, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (source / "cito").exists(), "it brings nothing of ours"
    return target


@pytest.fixture(scope="module")
def importable(distribution: Path) -> Iterator[None]:
    sys.path.insert(0, str(distribution))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(distribution))
    sys.modules.pop("cito_dental", None)


@pytest.fixture(scope="module")
async def site(open_site: OpenSite, importable: None) -> AsyncIterator[Site]:
    async with open_site(plugins=("dental",)) as opened:
        yield opened


def add_chair(site: Site, clinic: UUID, floor: int, name: str) -> None:
    """By plain SQL, as another service would."""
    with psycopg.connect(site.urls.owner, autocommit=True) as owner:
        owner.execute("insert into dental_chairs values (%s, %s, %s, %s)", (clinic, new_id(), floor, name))


async def chairs(site: Site, floor: int, clinic: UUID = CLINIC) -> list[str]:
    path = f"/api/dental/chairs?floor={floor}"
    answer = await site.client.get(path, headers=site.headers("nurse", clinic))
    assert answer.status_code == 200, answer.text
    return [chair["name"] for chair in answer.json()["chairs"]]


async def until(site: Site, floor: int, expected: list[str], clinic: UUID = CLINIC) -> None:
    async with asyncio.timeout(10):
        while await chairs(site, floor, clinic) != expected:  # noqa: ASYNC110 - polls as a client does
            await asyncio.sleep(0.02)


async def test_its_table_its_route_and_its_cached_answer_work_and_stay_fresh(site: Site) -> None:
    assert await chairs(site, 1) == []
    add_chair(site, CLINIC, 1, "Blue")
    await until(site, 1, ["Blue"])
    add_chair(site, CLINIC, 1, "Azure")
    await until(site, 1, ["Azure", "Blue"])
    assert await chairs(site, 2) == []


async def test_no_clinic_sees_the_chairs_of_another(site: Site) -> None:
    add_chair(site, OTHER_CLINIC, 7, "Theirs")
    await until(site, 7, ["Theirs"], OTHER_CLINIC)
    assert await chairs(site, 7) == []


async def test_its_grants_rules_and_limits_hold(site: Site) -> None:
    path = "/api/dental/chairs"
    assert (await site.client.get(path)).status_code == 401
    clerk = await site.client.get(path, params={"floor": 1}, headers=site.headers("clerk"))
    assert clerk.status_code == 403
    high = await site.client.get(path, params={"floor": 201}, headers=site.headers())
    assert (high.status_code, high.json()["errors"][0]["field"]) == (422, "floor")
    other = await site.client.get(path, params={"floor": 1, "clinicId": str(CLINIC)}, headers=site.headers())
    assert other.status_code == 422


async def test_it_is_in_the_documentation(site: Site) -> None:
    document = (await site.client.get("/docs/openapi.json")).json()
    assert document["paths"]["/api/dental/chairs"]["get"]["operationId"] == "list_chairs"


async def test_its_index_is_built_and_used(site: Site) -> None:
    with psycopg.connect(site.urls.owner, autocommit=True) as owner:
        owner.execute(
            "insert into dental_chairs select %s, gen_random_uuid(), n %% 100, 'chair ' || n "
            "from generate_series(1, 20000) as n",
            (CLINIC,),
        )
        owner.execute("analyze dental_chairs")
    query = site.assembly.sources.queries["list_chairs"].value
    indexes = [owned.value for owned in site.assembly.registry.indexes if owned.plugin == "dental"]
    proofs = await verify_indexes(site.urls.owner, site.urls.app, [query], indexes, large_rows=10_000)
    assert [(proof.verdict, proof.unused, proof.because) for proof in proofs] == [("proven", (), "")]


def test_the_command_line_names_its_distribution(distribution: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(distribution),
        "CITO_HOME": str(tmp_path),
        "CITO_PLUGINS": "dental",
    }
    command = [Path(sys.executable).with_name("cito"), "plugins", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    (dental,) = [row for row in json.loads(done.stdout) if row["plugin"] == "dental"]
    assert (dental["distribution"], dental["version"]) == ("cito-dental", "1.0.0")
    assert {"routes", "queries", "indexes", "cache families", "invalidations"} <= dental["declares"].keys()


def test_installing_changes_nothing_by_itself(importable: None) -> None:
    assert "dental" in installed()
    assert "dental" not in (ROOT / "cito.toml").read_text()
    assert "dental" not in (files("cito.core") / "settings.py").read_text()
