"""A shared tier as it is in production: TLS with a certificate that is checked, and a user who may do little."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import RedisError
from shelf import Shelf, until

from cito.core.assembly import resolved
from cito.core.cache import operate
from cito.core.doctor import cache_finding
from cito.core.settings import CacheSettings, load_settings

# The wheel's Valkey is built without TLS; a system's package has it.
SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server or valkey-server with TLS installed")
Address = Callable[..., str]


def certify(folder: Path) -> None:
    """Write `key.pem` and `certificate.pem` for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Give URLs of a server that speaks TLS only, by user and trusted certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [SERVER, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--tls-cert-file", folder / "certificate.pem", "--tls-key-file", folder / "key.pem"]
    command += ["--tls-ca-cert-file", folder / "certificate.pem", "--tls-auth-clients", "no"]
    server = subprocess.Popen([*map(str, command), "--dir", str(folder)], stdout=subprocess.DEVNULL)

    def url(login: str = "", *, trusted: bool = True) -> str:
        trust = f"?ssl_ca_certs={folder / 'certificate.pem'}" if trusted else ""
        return f"rediss://{login}localhost:{port}/0{trust}"

    try:
        for _ in range(200):
            try:
                with Redis.from_url(url()) as client:
                    client.ping()
                break
            except RedisError:
                assert server.poll() is None
                time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait(20)


async def test_cached_reads_and_their_relay_over_tls_as_a_limited_user(
    bare_shelf: Shelf, address: Address
) -> None:
    async with bare_shelf.process(wait=False) as any_process:
        rules = operate.acl_rules(any_process.cache.names)
    with Redis.from_url(address()) as admin:
        admin.execute_command("ACL", "SETUSER", "cito", *rules.split(), ">secret")
        admin.execute_command("ACL", "SETUSER", "default", "off")
    settings = load_settings(
        None, {"CITO_CACHE__URL": address("cito:secret@"), "CITO_HOME": str(bare_shelf.home)}
    )
    cache = resolved(settings).cache
    limited = Shelf(replace(bare_shelf.urls, cache=cache), bare_shelf.home, bare_shelf.clinic)
    patient = CacheSettings(url=cache, deadline_ms=5_000)  # a handshake on a busy machine
    async with limited.relay(), limited.process(cache=patient) as one, limited.process(cache=patient) as two:
        await one.warm()
        await two.warm()
        await one.rename("told over TLS")
        assert await one.name() == "told over TLS"
        bare_shelf.psql("update items set name = 'by psql' where clinic_id = %s", bare_shelf.clinic)

        async def told() -> bool:
            return await two.name() == "by psql"

        await until(told)
    finding = await cache_finding(cache)
    assert finding.ok
    assert finding.found.startswith(("Redis", "Valkey"))


@pytest.mark.parametrize(("login", "trusted"), [("cito:wrong@", True), ("cito:secret@", False)])
async def test_doctor_finds_a_wrong_password_and_an_untrusted_certificate(
    address: Address, login: str, *, trusted: bool
) -> None:
    finding = await cache_finding(address(login, trusted=trusted))
    assert not finding.ok
    assert "secret" not in finding.found + finding.todo
