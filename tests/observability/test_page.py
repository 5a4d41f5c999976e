"""The live page in headless Chromium, against a Cito that really serves."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from support import CLINIC, OpenSite, Site

from cito.core.http.tokens import mint
from cito.observability.routes import PAGE

from .served import serving

CHROMIUM = Path("/usr/bin/chromium")
KEEPING = bool(os.environ.get("CITO_PICTURES"))
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")


@asynccontextmanager
async def browsing(**options: str) -> AsyncIterator[tuple[Browser, Page, list[str]]]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield browser, page, said
        await browser.close()


async def sign_in(page: Page, base: str, token: str) -> None:
    await page.goto(f"{base}/admin/performance")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Show performance").click()


async def updates(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.dataset.updates || 0"))


async def updated(page: Page, least: int) -> None:
    async with asyncio.timeout(15):
        while await updates(page) < least:  # noqa: ASYNC110 - the page is another process
            await asyncio.sleep(0.05)


async def picture(page: Page, name: str) -> None:
    """Keep a picture for the docs, when asked to: `CITO_PICTURES=1 pytest tests/observability/test_page.py`."""
    if KEEPING:
        await page.evaluate("scrollTo(0, 0)")
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


async def enliven(site: Site, page: Page) -> None:
    """For a picture that is to be kept: let a clinic work for a while."""
    await page.locator("#window").select_option("60")
    nurse, searched = site.headers("nurse"), ("asp", "ibu", "met", "amo", "par")
    with psycopg.connect(site.urls.owner, autocommit=True) as owner:
        owner.execute(
            "insert into clinic (id, name, time_zone, region) values (%s, 'Clinic', 'UTC', 'US')", (CLINIC,)
        )
    patient = {"lastName": "Rivera", "mrn": "MRN-20417"}
    made = await site.client.post("/api/patients", json=patient, headers=nurse)
    for number in range(700):
        word = searched[number % 5]
        for path in (
            f"/api/medications?search={word}",
            f"/api/drugs/lookup?name={word}{number % 40}",
            f"/api/medications/autocomplete?query={word}",
            f"/api/patients?search={word}",
            f"/api/patients/{made.json()['id']}",
        )[: 1 + number // 20 % 5]:
            await site.client.get(path, headers=nurse)
        await asyncio.sleep(0.02)


async def slow_query(site: Site) -> None:
    """Let the administrator's question wait for a lock, as a migration at noon would."""
    async with await psycopg.AsyncConnection.connect(site.urls.owner) as blocker:
        await blocker.execute("lock table cito.jobs in access exclusive mode")
        asking = asyncio.create_task(site.client.get("/api/admin/performance", headers=site.headers("admin")))
        await asyncio.sleep(0.6)
    assert (await asking).status_code == 200


def test_the_page_is_small_and_asks_nobody_else() -> None:
    assert sum(map(len, PAGE.values())) < 200_000
    for name, content in PAGE.items():
        if not name.startswith("uPlot"):
            addresses = set(re.findall(rb"https?://[^\s\"'`)]+", content))
            assert addresses <= {b"http://www.w3.org/2000/svg"}, name
    assert b"MIT" in PAGE["uPlot.LICENSE"]


async def test_the_page_loads_updates_and_shows_a_slow_query(open_site: OpenSite) -> None:
    async with open_site() as site, serving(site) as base, browsing() as (_, page, said):
        await sign_in(page, base, mint(site.assembly.settings, "admin", None))
        await expect(page.locator("#state")).to_contain_text("Live")
        await expect(page.locator("#chart-rate canvas")).to_be_visible()
        before = await updates(page)
        for _ in range(40):
            await site.client.get("/api/admin/performance", headers=site.headers("admin"))
        if KEEPING:
            await enliven(site, page)
        await slow_query(site)
        await updated(page, before + 3)
        await expect(page.locator("#tiles")).to_contain_text(re.compile("memory of [1-9]"))
        operations = page.get_by_role("table", name=re.compile("processes of this node"))
        await expect(operations.get_by_role("rowheader", name="performance", exact=True)).to_be_visible()
        report = page.locator("#slow details", has_text="job_states")
        await expect(report).to_be_visible(timeout=10_000)
        await report.locator("summary").click()
        await expect(report.get_by_label("generic plan")).to_contain_text("Scan", timeout=10_000)
        await expect(page.locator("#alerts")).to_contain_text("query job_states is slow")
        await expect(page.locator("#waterfall li")).not_to_have_count(0)
        await page.wait_for_timeout(1500)
        await picture(page, "performance-light")
        await page.emulate_media(color_scheme="dark")
        await updated(page, await updates(page) + 2)
        await expect(page.locator("#chart-latency canvas")).to_be_visible()
        await picture(page, "performance-dark")
        assert said == []


async def test_the_page_fits_a_phone(open_site: OpenSite) -> None:
    async with open_site() as site, serving(site) as base, browsing() as (_, page, said):
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.goto(f"{base}/admin/performance")
        assert await wider_than_the_screen(page) == []
        await sign_in(page, base, mint(site.assembly.settings, "admin", None))
        await expect(page.locator("#state")).to_contain_text("Live")
        await slow_query(site)
        report = page.locator("#slow details", has_text="job_states")
        await report.locator("summary").click(timeout=15_000)
        await expect(page.locator("#waterfall li")).not_to_have_count(0)
        assert await wider_than_the_screen(page) == []
        assert await page.evaluate("innerWidth") == 360  # the page was not made smaller to fit
        await picture(page, "performance-phone")
        assert said == []


async def wider_than_the_screen(page: Page) -> list[str]:
    """Return what reaches beyond the right edge, but within boxes that scroll by themselves."""
    return await page.evaluate(
        """() => [...document.body.querySelectorAll('*')].filter((e) => {
            if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
            for (let p = e.parentElement; p; p = p.parentElement)
                if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX) && p !== document.body) return false;
            return true;
        }).map((e) => e.outerHTML.slice(0, 120))"""
    )


async def test_a_wrong_token_leads_back_to_the_login(open_site: OpenSite) -> None:
    async with open_site(plugins=()) as site, serving(site) as base, browsing() as (_, page, _said):
        await sign_in(page, base, "no.such.token")
        await expect(page.get_by_role("alert")).to_contain_text("not valid")
        clinic = site.assembly.settings  # a nurse may not look either
        await sign_in(page, base, mint(clinic, "nurse", None))
        await expect(page.get_by_role("alert")).to_contain_text("role")
        assert await page.evaluate("sessionStorage.length") == 0


async def test_the_page_is_used_by_keyboard_alone(open_site: OpenSite) -> None:
    async with open_site(plugins=()) as site, serving(site) as base, browsing() as (_, page, _said):
        await page.goto(f"{base}/admin/performance")
        await expect(page.get_by_label("Token")).to_be_focused()
        await page.keyboard.insert_text(mint(site.assembly.settings, "admin", None))
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_contain_text("Live")
        await page.reload()  # the tab remembers
        await expect(page.locator("#state")).to_contain_text("Live")
        focused = []
        for _ in range(6):
            await page.keyboard.press("Tab")
            focused.append(
                await page.evaluate("document.activeElement.id || document.activeElement.className")
            )
        assert focused[:4] == ["skip", "window", "pause", "leave"]
        # Every control and every section has a name that can be spoken.
        unnamed = await page.evaluate(
            """[...document.querySelectorAll('button, select, input, section, table')].filter((e) => e.offsetParent
            && !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label'))).map((e) => e.outerHTML)"""
        )
        assert unnamed == []
