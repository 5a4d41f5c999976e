"""Two real API processes of one Cito, one of them behind its own TLS: what is on the wire, and what both must know."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import ApiProcess
from support import OpenSite, Site

from cito.core.http import revocation
from cito.core.http.tokens import mint

PATHS = ["/health", "/ready", "/docs", "/docs/openapi.json", "/admin/performance", "/nowhere", "/api/nowhere"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cito.test")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.pem", folder / "tls.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@pytest.fixture(scope="module")
async def site(open_site: OpenSite) -> AsyncIterator[Site]:
    """What both processes share: a database, a cache, a home with its keys."""
    async with open_site(plugins=()) as opened:
        yield opened


@pytest.fixture(scope="module")
async def processes(site: Site, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[ApiProcess]]:
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    tls = {"SERVER__TLS_CERTIFICATE": str(certificate), "SERVER__TLS_KEY": str(key)}
    home = site.assembly.settings.home
    both = [
        ApiProcess(site.urls, home, (), tls, ssl.create_default_context(cafile=certificate)),
        ApiProcess(site.urls, home, ()),
    ]
    await asyncio.gather(*(one.start() for one in both))
    yield both
    for one in both:
        one.stop()


async def test_requests_over_tls_are_answered(processes: list[ApiProcess]) -> None:
    secured, _ = processes
    async with secured.client() as client:
        answer = await client.get("/ready")
        assert (answer.status_code, answer.url.scheme) == (200, "https")
        spoken = answer.extensions["network_stream"].get_extra_info("ssl_object")
        assert spoken.version() == "TLSv1.3"
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_plain_requests_to_a_tls_port_are_not(processes: list[ApiProcess]) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{processes[0].port}/health")


async def test_a_stranger_does_not_trust_the_certificate(processes: list[ApiProcess]) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"https://127.0.0.1:{processes[0].port}/health")


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_its_headers(processes: list[ApiProcess], path: str) -> None:
    async with processes[1].client() as client:
        answer = await client.get(path, headers={"Origin": "https://evil.example"})
    assert answer.headers.get_list("server") == [""]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "max-age" in answer.headers["strict-transport-security"]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if path.startswith("/api"):
        assert answer.headers["cache-control"] == "no-store"


async def test_the_live_page_may_load_its_own_files_only(processes: list[ApiProcess]) -> None:
    async with processes[1].client() as client:
        policy = (await client.get("/admin/performance")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert all(
        source in ("'none'", "'self'", "data:")
        for directive in policy.split(";")
        for source in directive.split()[1:]
    )


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
async def test_a_revoked_token_stops_in_every_process(
    site: Site, processes: list[ApiProcess], rounds: int
) -> None:
    """The lists are read twice a second; over 20 rounds each process has refused within a second."""
    assert revocation.FOLLOW_SECONDS <= 0.5
    loop = asyncio.get_running_loop()
    async with processes[0].client() as secured, processes[1].client() as plain:

        async def status(client: httpx.AsyncClient, token: str) -> int:
            answer = await client.get("/api/admin/performance", headers={"Authorization": f"Bearer {token}"})
            return answer.status_code

        for _ in range(rounds):
            token = mint(site.assembly.settings, "admin", None)
            assert [await status(one, token) for one in (secured, plain)] == [200, 200]
            token_id = jwt.decode(token, options={"verify_signature": False})["jti"]
            revoked = await plain.post(
                "/api/admin/revocations", json={"tokenId": token_id}, headers=site.headers("admin")
            )
            assert revoked.status_code == 204
            since = loop.time()
            while [await status(one, token) for one in (secured, plain)] != [401, 401]:
                assert loop.time() - since < (1 if rounds > 1 else 20)
            assert await status(plain, mint(site.assembly.settings, "admin", None)) == 200
