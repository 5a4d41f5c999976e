"""Files of drugs: what is taken, what is refused with its line, and that the second time changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import OpenSite, Site

from cito.plugins.drugs.importing import Imported, import_all, import_lines
from cito.plugins.drugs.reading import FileRefused, Line, read_file
from cito.plugins.drugs.seed import load_drugs

HEADER = "generic_name\tbrand_names\tkeywords\tschedules\tprescription_only\n"


def written(folder: Path, text: str, name: str = "drugs.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name\nx\n", "line 1: no column generic_name"),
        ("generic_name\tprice\nx\t1\n", "line 1: unknown column price"),
        ("generic_name\tclasses\tclasses\nx\ta\tb\n", "line 1: a column stands there twice"),
        (HEADER + "a\t\t\t\t\nb\t\n", "line 3: 2 columns, the header has 5"),
        (HEADER + "\nb\t\t\tIV\t\n", "line 3: schedules: write the jurisdiction"),
        (HEADER + "b\t\t\tUS:IV;US:II\t\n", "line 2: schedules: a jurisdiction stands there twice"),
        (HEADER + "b\t\t\t\tperhaps\n", "line 2: prescription_only: write yes or no"),
        (HEADER + "a-b\t\t\t\t\nc\t\t\t\t\nA B\t\t\t\t\n", "line 4: the same generic name as on line 2"),
        (HEADER + "a\t-;x\t\t\t\n", "line 2: a name is empty or has no letter or digit"),
        (HEADER + f"{'a' * 201}\t\t\t\t\n", "line 2: a name is longer than 200 characters"),
        ('generic_name,classes\n"a,b\n', "line 2: unexpected end of data"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read_file(written(tmp_path, text))
    assert [said for said in refused.value.errors if said.startswith(error)]


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.tsv"
    path.write_bytes(b"generic_name\nparacetamol\nparac\xe9tamol\n")
    with pytest.raises(FileRefused, match="line 3: not UTF-8"):
        read_file(path)


def test_comma_and_quotes(tmp_path: Path) -> None:
    text = '\ufeffgeneric_name,brand_names,is_active\r\n"a, b","X; Y|Z",no\r\n'
    (line,) = read_file(written(tmp_path, text, "drugs.csv"))
    assert (line.number, line.generic_name) == (2, "a, b")
    assert line.given == {"brand_names": ("X", "Y", "Z"), "is_active": False}


async def brought_in(site: Site, lines: Sequence[Line]) -> Imported:
    async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
        told: list[tuple[int, int]] = []
        done = await import_lines(connection, lines, lambda *step: told.append(step))
        assert told[-1] == (len(lines), len(lines))
        return done


async def test_twice_is_once_and_only_what_differs_is_changed(open_site: OpenSite, tmp_path: Path) -> None:
    lines = read_file(written(tmp_path, HEADER + "a\tBrandA\ta1;a2\tUS:IV\tyes\nb\t\t\t\tno\n"))
    async with open_site(plugins=("drugs",)) as site:
        assert await brought_in(site, lines) == Imported(added=2, changed=0, unchanged=0, names=5)
        assert await brought_in(site, lines) == Imported(added=0, changed=0, unchanged=2, names=0)
        headers = site.headers()
        first = (await site.client.get("/api/drugs/lookup?name=BrandA", headers=headers)).json()["drug"]
        assert first["schedules"] == [{"jurisdiction": "US", "schedule": "IV"}]
        only_names = read_file(written(tmp_path, "generic_name\tkeywords\na\ta1;a3\n"))
        assert await brought_in(site, only_names) == Imported(added=0, changed=1, unchanged=0, names=4)
        then = (await site.client.get(f"/api/drugs/{first['id']}", headers=headers)).json()
        assert then == {**first, "keywords": ["a1", "a3"], "version": 2}


async def test_all_or_nothing(open_site: OpenSite, tmp_path: Path) -> None:
    """A database that refuses one row keeps none of them."""
    lines = [Line(2, "good", {}), Line(3, "bad", {"brand_names": ("x" * 201,)})]
    async with open_site(plugins=("drugs",)) as site:
        with pytest.raises(psycopg.errors.CheckViolation):
            await brought_in(site, lines)
        found = await site.client.get("/api/drugs/lookup?name=good", headers=site.headers())
        assert found.json()["status"] == "not_found"


def test_redmed(shared: Path) -> None:
    lines = read_file(shared / "data" / "drugs" / "redmed_drug_names.tsv")
    assert len(lines) == 2997
    (first,) = (line for line in lines if line.generic_name == "leuprolide")
    assert "lupron depot" in first.synonyms


async def test_redmed_beside_the_demo_drugs(open_site: OpenSite, shared: Path) -> None:
    """A drug that is there under another name gains names; what is known of it stays as it was."""
    every = read_file(shared / "data" / "drugs" / "redmed_drug_names.tsv")
    named = {"acetaminophen", "ascorbic acid", "vitamin c", "diazepam"}
    lines = [line for at, line in enumerate(every) if at % 20 == 0 or line.generic_name in named]
    async with open_site(plugins=("drugs",)) as site:
        await seeded(site)
        done = await brought_in(site, lines)
        assert done.changed > 25
        again = await brought_in(site, lines)
        assert (again.added, again.changed, again.names) == (0, 0, 0)
        for name, generic in (
            ("acetaminophen", "paracetamol"),
            ("vitamin c", "ascorbic acid"),
            ("Valium", "diazepam"),
        ):
            said = await site.client.get("/api/drugs/lookup", params={"name": name}, headers=site.headers())
            assert said.json()["status"] == "resolved"
            assert said.json()["drug"]["genericName"] == generic


async def seeded(site: Site) -> None:
    async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
        await load_drugs(connection, None, lambda *_: None)


async def test_new_names_are_found_while_they_wait(open_site: OpenSite) -> None:
    lines = [Line(0, f"zzqdrug{number:03d}ine", {}) for number in range(300)]
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await import_lines(connection, lines, lambda *_: None, waiting=True)
        assert await suggested(site, "zzqdrug007ien") == "zzqdrug007ine"
        async with await psycopg.AsyncConnection.connect(site.urls.owner, autocommit=True) as owner:
            assert await gathering(owner) == {"off"}
            assert await entered(owner) > 0
        assert await suggested(site, "zzqdrug011ien") == "zzqdrug011ine"


@pytest.mark.parametrize("brand", ["Zzqbrand", "x" * 201])
async def test_an_import_leaves_nothing_waiting_even_when_it_is_refused(
    open_site: OpenSite, brand: str
) -> None:
    lines = [Line(0, "zzqdrugine", {"brand_names": (brand,)})]
    refused = len(brand) > 200
    async with open_site(plugins=("drugs",)) as site:
        with pytest.raises(psycopg.errors.CheckViolation) if refused else nullcontext():
            await import_all(site.urls.owner, lines, lambda *_: None)
        async with await psycopg.AsyncConnection.connect(site.urls.owner, autocommit=True) as owner:
            assert await gathering(owner) == {"off"}
            assert await entered(owner) == 0
            found = await (await owner.execute("select from drugs")).fetchall()
            assert len(found) == (0 if refused else 1)


async def suggested(site: Site, name: str) -> str:
    said = await site.client.get("/api/drugs/lookup", params={"name": name}, headers=site.headers())
    generic: str = said.json()["suggestions"][0]["drug"]["genericName"]
    return generic


INVERTED = ("drug_aliases_contained", "drug_aliases_bare", "drug_aliases_slips")


async def gathering(owner: psycopg.AsyncConnection[Any]) -> set[str]:
    """Whether the inverted indexes keep lists: the values of `fastupdate`."""
    read = await owner.execute("select reloptions from pg_class where relname = any(%s)", [list(INVERTED)])
    return {
        dict(option.split("=") for option in options)["fastupdate"] for (options,) in await read.fetchall()
    }


async def entered(owner: psycopg.AsyncConnection[Any]) -> int:
    """How many pages of names still waited in lists, until now."""
    pages = [await owner.execute("select gin_clean_pending_list(%s::regclass)", [name]) for name in INVERTED]
    return sum([row[0] for cursor in pages for row in await cursor.fetchall()])
