"""Real servers for every test: one embedded PostgreSQL and Valkey per run, a new database per use."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
from both_ways import both_ways
from comparisons import Comparisons
from psycopg import sql
from shelf import make_template
from support import Budgets, OpenSite, Site, alive, cloned, relayed

from cito.core.app import create_app
from cito.core.assembly import Assembly, assemble
from cito.core.clock import Clock
from cito.core.embedded import Urls, running
from cito.core.preparation import prepare
from cito.core.registry import installed
from cito.core.settings import CacheSettings, Settings

# A busy machine is no failure: examples have no deadline, and slow ones are not unhealthy.
hypothesis.settings.register_profile(
    "calm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("calm")

SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--both-ways`: whatever a test reads from its site is read with and without the fast path, and compared."""
    parser.addoption("--both-ways", action="store_true", help="compare each cached read with the long way")


def pytest_configure(config: pytest.Config) -> None:
    """Count the comparisons of `--both-ways`."""
    if config.getoption("--both-ways"):
        config.pluginmanager.register(Comparisons(), "both ways")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a measured figure below the run's results: `figure("recall@10 0.932")`."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the tests that ran, in whichever process they ran."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    told = [str(text) for report in reports for name, text in report.user_properties if name == "figure"]
    if told:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(told))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data and acceptance cases beside the repository."""
    if not SHARED.exists():
        pytest.skip("the public data folder ../shared is absent")
    return SHARED


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home for one run, in a folder that PostgreSQL's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="cito-test-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def urls(home: Path) -> Iterator[Urls]:
    """Running servers, for speed not crash-safe; the database `cito` stays empty and is a template."""
    with running(home, durable=False) as found:
        yield found


@pytest.fixture(scope="session")
def shelf_template(urls: Urls) -> str:
    """The name of a database with the migrated tables of a shelf (`tests/shelf.py`) and its triggers."""
    return make_template(urls)


@pytest.fixture
def empty_database(urls: Urls) -> Iterator[Urls]:
    """A new database with Cito's roles and extensions and nothing else, dropped afterwards."""
    with cloned(urls, "cito") as clone:
        yield clone


@pytest.fixture(scope="session")
def templates(urls: Urls, home: Path) -> Callable[[Assembly], str]:
    """Give the name of a database with all that an assembly declares, made once for each set of plugins."""
    made: dict[tuple[str, ...], str] = {}

    def template(assembly: Assembly) -> str:
        names = tuple(enabled.name for enabled in assembly.registry.plugins)
        if names not in made:
            made[names] = f"template_{len(made)}"
            statement = sql.SQL("create database {} owner cito_owner template cito strategy file_copy")
            with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
                admin.execute(statement.format(sql.Identifier(made[names])))
            asyncio.run(prepare(assembly, urls.on(made[names]), lambda _: None))
        return made[names]

    return template


@pytest.fixture(scope="session")
def open_site(
    urls: Urls, home: Path, templates: Callable[[Assembly], str], pytestconfig: pytest.Config
) -> OpenSite:
    """Open a site: `async with open_site(plugins=("drugs",), clock=..., cache_url=...) as site`; settings by name."""

    @asynccontextmanager
    async def opened(
        *,
        plugins: tuple[str, ...] | None = None,
        clock: Clock | None = None,
        cache_url: str = urls.cache,
        **settings: Any,
    ) -> AsyncIterator[Site]:
        names = installed() if plugins is None else plugins
        # Journals, figures and keys of its own: what one site tells of itself is not another's.
        own_home = home / f"site-{os.urandom(4).hex()}"
        chosen = {"home": own_home, "plugins": tuple(names), "cache": CacheSettings(url=cache_url)}
        assembly = assemble(Settings(**{**chosen, **settings}))
        template = await asyncio.to_thread(templates, assembly)
        budgets = Budgets(assembly.registry)
        subscribers = (*assembly.registry.request_subscribers, budgets)
        assembly = replace(assembly, registry=replace(assembly.registry, request_subscribers=subscribers))
        with cloned(replace(urls, cache=cache_url), template) as own:
            app = create_app(assembly, own, clock)
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(relayed(assembly, own))
                await stack.enter_async_context(alive(app))
                transport: httpx.AsyncBaseTransport = httpx.ASGITransport(app)
                if pytestconfig.getoption("--both-ways"):
                    transport = await stack.enter_async_context(both_ways(transport, assembly, own, clock))
                client = httpx.AsyncClient(transport=transport, base_url="http://cito.test")
                await stack.enter_async_context(client)
                yield Site(assembly, own, app, client, budgets)
            assert budgets.over == set(), "a route ran more queries than it declares"

    return opened


@pytest.fixture(scope="module")
async def site(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site with every installed plugin, one for all tests of a file."""
    async with open_site() as opened:
        yield opened
