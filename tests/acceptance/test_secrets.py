"""Every setting that is a secret holds a marked one: no command, log, problem or page of an administrator shows it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from unittest import mock
from urllib.parse import urlsplit

import msgspec
import msgspec.inspect
import pytest
from processes import ApiProcess, free_port
from support import OpenSite, Site

from cito.core.cli import main
from cito.core.http.tokens import mint
from cito.core.settings import AuthSettings, Settings

MARK = "Marked-5ecret"


def planted(site: Site, elsewhere: int) -> dict[str, str]:
    """The settings of a Cito whose servers are there, and whose exporters reach nobody."""
    key = (MARK.encode() * 4)[:32].hex()
    return {
        "DATABASE__REPLICAS": f"postgresql://cito_app:{MARK}-replica@127.0.0.1:{elsewhere}/cito",
        "AUTH__SECRET": f"{MARK}-for-tokens-of-32-bytes-and-more",
        "AUDIT__KEY": key,
        "JOBS__BROKER_URL": f"redis://default:{MARK}-broker@127.0.0.1:{elsewhere}",
        "OBSERVABILITY__OTLP_URL": f"http://user:{MARK}-otlp@127.0.0.1:{elsewhere}/{MARK}",
        "OBSERVABILITY__OTLP_PRESET": "datadog",  # one that sends the key
        "OBSERVABILITY__OTLP_KEY": f"{MARK}-otlp-key",
        "OBSERVABILITY__OTLP_HEADERS": f"x-team=clinic,x-token={MARK}-otlp-header",
        "OBSERVABILITY__REGION": "eu-west-1",
        "OBSERVABILITY__CLOUDWATCH": "put",
        "OBSERVABILITY__CLOUDWATCH_URL": f"http://user:{MARK}-cloudwatch@127.0.0.1:{elsewhere}/{MARK}",
        "OBSERVABILITY__WEBHOOK_URL": f"http://127.0.0.1:{elsewhere}/services/{MARK}-webhook",
        "OBSERVABILITY__WEBHOOK_SECRET": f"{MARK}-webhook-secret",
        "OBSERVABILITY__EXPORT_SECONDS": "0.2",
        "OBSERVABILITY__SAMPLE_RATIO": "1",
        "OBSERVABILITY__LOG_LEVEL": "debug",
    }


# The texts among the settings that are no secrets. Every other one is planted.
NOT_SECRET = {
    *("environment", "home", "plugins", "server.host", "server.tls_certificate", "server.tls_key"),
    *("http.cors_origins", "auth.issuer", "auth.audience", "auth.algorithm", "auth.jwks_file"),
    *("observability.log_level", "observability.otlp_preset", "observability.region"),
    *("observability.cloudwatch", "observability.namespace", "rollout", "plugin"),
}
OF_THE_SERVERS = {"database.url", "database.owner_url", "cache.url"}  # with their own passwords


def texts(kind: msgspec.inspect.Type, path: str = "") -> Iterator[str]:
    """The names of all settings that may hold a text, in whatever shape."""
    if isinstance(kind, msgspec.inspect.StructType):
        for field in kind.fields:
            yield from texts(field.type, f"{path}.{field.name}".lstrip("."))
    elif not isinstance(kind, NUMBERS):
        yield path


NUMBERS = (msgspec.inspect.IntType, msgspec.inspect.FloatType, msgspec.inspect.BoolType)


def test_every_secret_setting_is_planted(served: Served) -> None:
    """A new setting that may hold a text is planted here, or named above as no secret."""
    planted_now = {
        name.removeprefix("CITO_").lower().replace("__", ".")
        for name, value in served.environment.items()
        if name.startswith("CITO_") and served.shown(value)
    }
    every = set(texts(msgspec.inspect.type_info(Settings)))
    assert every - NOT_SECRET == planted_now
    assert planted_now >= OF_THE_SERVERS


@dataclass(frozen=True)
class Served:
    site: Site
    process: ApiProcess
    environment: dict[str, str]

    def shown(self, text: str) -> list[str]:
        """Lines that show a secret: as it is, as hex, quoted for a URL."""
        passwords = [urlsplit(url).password for url in (self.site.urls.owner, self.site.urls.app)]
        marks = [MARK, MARK.encode().hex(), *(one for one in passwords if one)]
        assert len(marks) == 4
        return [line for line in text.splitlines() if any(mark.lower() in line.lower() for mark in marks)]

    @property
    def headers(self) -> Callable[[str], dict[str, str]]:
        auth = AuthSettings(secret=self.environment["CITO_AUTH__SECRET"])
        settings = Settings(home=self.process.home, auth=auth)
        return lambda role: {"Authorization": f"Bearer {mint(settings, role, None)}"}


@pytest.fixture(scope="module")
async def served(open_site: OpenSite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("home")
    async with open_site(plugins=()) as site:
        # A server without a password takes any.
        urls = replace(site.urls, cache=f"{site.urls.cache}?username=default&password={MARK}")
        settings = planted(site, free_port())
        process = ApiProcess(urls, folder, (), settings, log=folder / "stderr")
        credentials = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": f"{MARK}-aws"}
        with mock.patch.dict(os.environ, credentials):
            await process.start()
        try:
            yield Served(site, process, process.environment)
        finally:
            process.kill()


async def cito(served: Served, *arguments: str, **changed: str) -> tuple[int, str]:
    """Run a command in this process; returns its exit code and all that it printed."""

    def run() -> tuple[int, str]:
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, {**served.environment, **changed}),
            mock.patch.object(sys, "argv", ["cito", *arguments]),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            pytest.raises(SystemExit) as left,
        ):
            main()
        return int(left.value.code or 0), said.getvalue()

    return await asyncio.to_thread(run)


@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        ("plugins", "--json"),
        ("cache", "stats", "--json"),
        ("audit", "verify"),
    ],
    ids=" ".join,
)
async def test_no_command_shows_a_secret(served: Served, command: tuple[str, ...]) -> None:
    code, said = await cito(served, *command)
    assert code in (0, 1), said
    assert said
    assert served.shown(said) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"CITO_DATABASE__URL": f"postgresql://cito_app:{MARK}@127.0.0.1:1/cito"}, 3),
        ({"CITO_DATABASE__URL": f"postgresql://cito_app:x@{MARK}@127.0.0.1:1/cito"}, 2),
        ({"CITO_DATABASE__URL": f"postgresql://cito_app:{MARK}/x@127.0.0.1:1/cito"}, 2),
        ({"CITO_CACHE__URL": f"redis://default:{MARK}@127.0.0.1:1"}, 3),
        ({"CITO_CACHE__URL": f"redis://default:x@{MARK}@127.0.0.1:1"}, 2),
        ({"CITO_CACHE__URL": f"http://default:{MARK}@127.0.0.1:1"}, 2),
        ({"CITO_AUTH__SECRET_FILE": f"/{MARK}"}, 2),
        ({"CITO_AUDIT__KEY": MARK}, 2),
        ({"CITO_OBSERVABILITY__OTLP_URL": f"http://x:{MARK}/y@127.0.0.1"}, 2),
    ],
    ids=range(9),
)
async def test_no_refusal_shows_a_secret(served: Served, changed: dict[str, str], code: int) -> None:
    command = ("audit", "verify") if "CITO_AUDIT__KEY" in changed else ("cache", "stats")
    left, said = await cito(served, *command, **changed)
    assert left == code, said
    assert said
    assert served.shown(said) == []


async def test_no_answer_for_administrators_shows_a_secret(served: Served) -> None:
    async with served.process.client() as client:
        for role, path in [
            ("admin", "/api/admin/performance"),
            ("auditor", "/api/admin/audit"),
            ("admin", "/metrics"),
            ("admin", "/ready"),
            ("admin", "/docs/openapi.json"),
            ("admin", "/admin/performance"),
        ]:
            answer = await client.get(path, headers=served.headers(role))
            assert answer.status_code == 200, answer.text
            assert served.shown(answer.text) == [], path
            assert served.shown(str(answer.headers)) == [], path


async def test_no_log_shows_a_secret(served: Served) -> None:
    """Its exporters and its replica are not there, and it says so."""
    log = served.process.home / "stderr"
    async with served.process.client() as client:
        wrong = await client.put(
            "/api/admin/log-level", json={"level": MARK}, headers=served.headers("admin")
        )
        assert wrong.status_code == 422
    served.process.stop()
    said = log.read_text()
    assert "replica" in said, "what fails is told"
    lines = [msgspec.json.decode(line) for line in said.splitlines() if line.startswith("{")]
    assert lines
    assert served.shown(said) == []
