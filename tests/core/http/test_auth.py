from __future__ import annotations

from pathlib import Path
from uuid import UUID

import httpx
import pytest

from cito.core.http.keys import load_keys
from cito.core.http.tokens import TokenVerifier, mint
from cito.core.settings import AuthSettings, Settings, SettingsError

from .conftest import CLINIC, Site

THING = "/api/things/01890000-0000-7000-8000-000000000009"


async def test_the_clinic_comes_from_the_token(client: httpx.AsyncClient, site: Site) -> None:
    other = UUID("01890000-0000-7000-8000-000000000002")
    assert (await client.get(THING, headers=site.headers())).json()["clinic"] == str(CLINIC)
    assert (await client.get(THING, headers=site.headers(clinic=other))).json()["clinic"] == str(other)


@pytest.mark.parametrize(
    "path", [THING, "/api", "/api/", "/api/unknown", "http://cito.test//api/unknown", "/apix", "/api/bare"]
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi", "Token x"])
async def test_everything_under_api_wants_a_token(
    client: httpx.AsyncClient, path: str, header: str | None
) -> None:
    response = await client.get(path, headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["type"] == "urn:cito:problem:unauthenticated"


async def test_two_tokens_are_none(client: httpx.AsyncClient, site: Site) -> None:
    good = site.headers()["Authorization"]
    for headers in ([("Authorization", "Bearer x"), ("Authorization", good)], [("Authorization", good)] * 2):
        assert (await client.get(THING, headers=headers)).status_code == 401


async def test_a_route_without_rules_is_closed(client: httpx.AsyncClient, site: Site) -> None:
    assert (await client.get("/api/bare", headers=site.headers())).status_code == 403


async def test_health_wants_no_token_and_minds_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/health", headers={"Authorization": "Bearer x"})).status_code == 200


async def test_a_route_outside_api_may_want_a_token(client: httpx.AsyncClient, site: Site) -> None:
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 401
    assert (await client.get("/metrics", headers=site.headers())).status_code == 403
    assert (await client.get("/metrics", headers=site.headers("auditor", None))).status_code == 200


async def test_scope_and_clinic_are_demanded(client: httpx.AsyncClient, site: Site) -> None:
    assert (await client.get(THING, headers=site.headers("auditor"))).status_code == 403
    assert (await client.get(THING, headers=site.headers("wizard"))).status_code == 403
    assert (await client.get(THING, headers=site.headers("nurse", None))).status_code == 403


@pytest.mark.parametrize("name", ["X-Clinic-Id", "x-clinic", "Clinic-Id", "X-Tenant-ID", "X-Org"])
async def test_a_clinic_in_a_header_is_refused(client: httpx.AsyncClient, site: Site, name: str) -> None:
    response = await client.get(THING, headers=site.headers(**{name: str(CLINIC)}))
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == name.lower()


def test_development_makes_one_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = load_keys(settings)
    assert first.verifying.keys() == load_keys(settings).verifying.keys()
    [file] = (tmp_path / "keys").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_production_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"auth\.secret or auth\.jwks_file"):
        load_keys(Settings(home=tmp_path, environment="production"))
    assert not (tmp_path / "keys").exists()
    with pytest.raises(SettingsError, match=r"auth\.secret: at least 32 bytes"):
        load_keys(Settings(environment="production", auth=AuthSettings(secret="short")))


def test_production_mints_no_token() -> None:
    with pytest.raises(SettingsError, match="development only"):
        mint(Settings(environment="production", auth=AuthSettings(secret="x" * 32)), "nurse", CLINIC)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_each_algorithm_signs_and_verifies(tmp_path: Path, algorithm: str) -> None:
    settings = Settings(home=tmp_path, auth=AuthSettings(algorithm=algorithm))  # type: ignore[arg-type]
    caller = TokenVerifier(settings.auth, load_keys(settings)).verify(
        mint(settings, "nurse", CLINIC).encode()
    )
    assert (caller.subject, caller.role, caller.clinic_id) == ("dev-nurse", "nurse", CLINIC)
