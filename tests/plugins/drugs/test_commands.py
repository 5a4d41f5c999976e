"""`cito drugs import` and `cito cache warm`, as scripts use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import OpenSite, Site
from typer.testing import CliRunner

from cito.core.cli import app
from cito.plugins.drugs import commands
from cito.plugins.drugs.cache import LOOKUP, most_used

Cito = Callable[..., Awaitable[Any]]
HEADER = "generic_name\tbrand_names\tschedules\n"


@pytest.fixture(scope="module")
async def site(open_site: OpenSite) -> AsyncIterator[Site]:
    async with open_site(plugins=("drugs",)) as opened:
        yield opened


@pytest.fixture
def cito(site: Site, monkeypatch: pytest.MonkeyPatch) -> Cito:
    for name, value in (
        ("CITO_HOME", str(site.assembly.settings.home)),
        ("CITO_PLUGINS", "drugs"),
        ("CITO_DATABASE__URL", site.urls.app),
        ("CITO_DATABASE__OWNER_URL", site.urls.owner),
        ("CITO_CACHE__URL", site.urls.cache),
    ):
        monkeypatch.setenv(name, value)

    async def run(group: str, *arguments: str) -> Any:
        if group == "drugs":  # mounted by `main`, as any plugin's
            return await asyncio.to_thread(CliRunner().invoke, commands.app, arguments)
        return await asyncio.to_thread(CliRunner().invoke, app, [group, *arguments])

    return run


async def looked_up(site: Site, name: str) -> str:
    said = await site.client.get("/api/drugs/lookup", params={"name": name}, headers=site.headers())
    status: str = said.json()["status"]
    return status


async def test_import_says_what_it_did_and_does_it_once(cito: Cito, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "drugs.tsv"
    file.write_text(HEADER + "cetirizine\tZyrtec;Reactine\t\nmorphine\t\tUS:II\n", encoding="utf-8")
    assert await looked_up(site, "Reactine") == "not_found"
    first = await cito("drugs", "import", str(file), "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout) == {"added": 2, "changed": 0, "unchanged": 0, "names": 4}
    for _ in range(500):  # the command is another process: the relay tells this one
        if await looked_up(site, "Reactine") == "resolved":
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("five seconds later the imported name is not known")
    again = await cito("drugs", "import", str(file))
    assert "0 drugs added, 0 changed, 2 as they were" in again.stdout


async def test_every_mistake_is_told_and_nothing_is_taken(cito: Cito, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "wrong.tsv"
    file.write_text(HEADER + "lisinopril\tPrinivil\t\nb\t\tIV\n\t\t\n-\t\t\n", encoding="utf-8")
    refused = await cito("drugs", "import", str(file))
    assert refused.exit_code == 1
    assert "wrong.tsv: line 3: schedules: write the jurisdiction" in refused.stderr
    assert "wrong.tsv: line 5: a name is empty" in refused.stderr
    assert await looked_up(site, "lisinopril") == "not_found"
    missing = await cito("drugs", "import", str(tmp_path / "nowhere.tsv"))
    assert (missing.exit_code, "No such file" in missing.stderr) == (2, True)


async def test_the_public_lexicon_is_taken(cito: Cito, site: Site, shared: Path, tmp_path: Path) -> None:
    """Every twentieth line by default: the whole file is read in `test_import`."""
    rows = (shared / "data" / "drugs" / "redmed_drug_names.tsv").read_text(encoding="utf-8").splitlines()
    file = tmp_path / "redmed.tsv"
    file.write_text("\n".join(rows[::20]), encoding="utf-8")
    done = await cito("drugs", "import", str(file), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["names"] > 500


async def test_warming_loads_the_most_used_names(cito: Cito, site: Site) -> None:
    warmed = await cito("cache", "warm", "--json")
    assert warmed.exit_code == 0, warmed.output
    rows = {row["family"]: row["entries"] for row in json.loads(warmed.stdout)}
    assert rows[LOOKUP.name] == len(most_used()) == 100
    first = most_used()[0].folded
    said = await site.client.get("/api/drugs/lookup", params={"name": first}, headers=site.headers())
    assert 'cache;desc="shared"' in said.headers["server-timing"]
