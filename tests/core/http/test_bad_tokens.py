"""Every way to hold a token that is none, each refused like every other."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from cito.core.errors import Unauthenticated
from cito.core.http import auth, tokens
from cito.core.http.asymmetric import new_private_jwk
from cito.core.http.keys import load_keys, new_key, read_key_set, write_key_set
from cito.core.http.tokens import MAX_REMEMBERED, TokenVerifier, mint
from cito.core.settings import AuthSettings, Settings

from .conftest import CLINIC, Site

THING = "/api/things/01890000-0000-7000-8000-000000000009"
Make = Callable[["Forge"], str | bytes]


class Forge:
    """Makes tokens that are almost right: signed with the true key unless told otherwise."""

    def __init__(self, settings: Settings) -> None:
        signing = load_keys(settings).signing
        assert signing is not None
        self.kid, key = signing
        self.secret: bytes = key.key
        self.now = time.time()

    def claims(self, **changed: Any) -> dict[str, Any]:
        whole = {
            "iss": "cito",
            "aud": "cito-api",
            "sub": "staff-1",
            "jti": uuid4().hex,
            "iat": int(self.now),
            "nbf": int(self.now),
            "exp": int(self.now) + 600,
            "role": "nurse",
            "clinic": str(CLINIC),
        }
        return {name: value for name, value in (whole | changed).items() if value is not ...}

    def token(
        self,
        header: dict[str, Any] | None = None,
        secret: bytes | None = None,
        claims: Any = None,
        **changed: Any,
    ) -> str:
        head = {"alg": "HS256", "typ": "JWT", "kid": self.kid} | (header or {})
        head = {name: value for name, value in head.items() if value is not ...}
        body = self.claims(**changed) if claims is None else claims
        signed = f"{encode(json.dumps(head))}.{encode(body if isinstance(body, str | bytes) else json.dumps(body))}"
        mac = hmac.digest(secret or self.secret, signed.encode(), "sha256")
        return f"{signed}.{encode(mac)}"


def encode(data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parts(forge: Forge) -> list[str]:
    return forge.token().split(".")


def unsigned(forge: Forge, algorithm: str) -> str:
    _, body, _ = parts(forge)
    return f"{encode(json.dumps({'alg': algorithm, 'typ': 'JWT'}))}.{body}."


def asymmetric(forge: Forge, algorithm: str) -> str:
    key = jwt.PyJWK({**new_private_jwk(algorithm), "kid": forge.kid}, algorithm=algorithm).key
    return jwt.encode(forge.claims(), key, algorithm=algorithm, headers={"kid": forge.kid})


def other_bits(forge: Forge) -> str:
    """The same signature bytes in another spelling: the unused bits of the last letter differ."""
    head, body, signature = parts(forge)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return f"{head}.{body}.{signature[:-1]}{alphabet[alphabet.index(signature[-1]) ^ 1]}"


def flipped(forge: Forge, part: int) -> str:
    pieces = parts(forge)
    raw = bytearray(base64.urlsafe_b64decode(pieces[part] + "=="))
    raw[len(raw) // 2] ^= 1
    pieces[part] = encode(bytes(raw))
    return ".".join(pieces)


BAD: dict[str, Make] = {
    "empty": lambda f: "",
    "one part": lambda f: parts(f)[0],
    "two parts": lambda f: ".".join(parts(f)[:2]),
    "four parts": lambda f: f"{f.token()}.x",
    "five parts, like an encrypted one": lambda f: f"{f.token()}.x.y",
    "no signature": lambda f: ".".join(parts(f)[:2]) + ".",
    "a signature of nothing": lambda f: ".".join(parts(f)[:2]) + ".AA",
    "a shortened signature": lambda f: f.token()[:-3],
    "an extended signature": lambda f: f.token() + "AAAA",
    "padding": lambda f: f.token() + "=",
    "padding in the middle": lambda f: "=.".join(parts(f)),
    "unused bits of the last letter": other_bits,
    "standard base64 letters": lambda f: f.token()[:-2] + "+/",
    "white space inside": lambda f: f.token().replace(".", " .", 1),
    "white space behind": lambda f: f.token() + " ",
    "a line break": lambda f: f.token().replace(".", ".\t", 1),
    "a letter outside ASCII": lambda f: f.token().encode() + b"\xff",
    "NUL": lambda f: f.token().encode() + b"\0",
    "oversized": lambda f: f.token(pad="x" * 5_000),
    "huge": lambda f: "a" * 60_000,
    "two tokens": lambda f: f"{f.token()},{f.token()}",
    "a changed header": lambda f: flipped(f, 0),
    "a changed body": lambda f: flipped(f, 1),
    "a changed signature": lambda f: flipped(f, 2),
    "another secret": lambda f: f.token(secret=b"x" * 32),
    "the empty secret": lambda f: f.token(secret=b"\0"),
    "the secret's text": lambda f: f.token(secret=encode(f.secret).encode()),
    "alg none": lambda f: unsigned(f, "none"),
    "alg None": lambda f: unsigned(f, "None"),
    "alg NONE": lambda f: unsigned(f, "NONE"),
    "alg nOnE": lambda f: unsigned(f, "nOnE"),
    "alg none, but signed": lambda f: f.token({"alg": "none"}),
    "alg empty": lambda f: f.token({"alg": ""}),
    "alg missing": lambda f: f.token({"alg": ...}),
    "alg a number": lambda f: f.token({"alg": 256}),
    "alg a list": lambda f: f.token({"alg": ["HS256"]}),
    "alg in lower case": lambda f: f.token({"alg": "hs256"}),
    "alg HS384": lambda f: jwt.encode(
        f.claims(), f.secret + f.secret, algorithm="HS384", headers={"kid": f.kid}
    ),
    "alg HS512": lambda f: jwt.encode(
        f.claims(), f.secret + f.secret, algorithm="HS512", headers={"kid": f.kid}
    ),
    "alg RS256 with a key of theirs": lambda f: asymmetric(f, "RS256"),
    "alg ES256 with a key of theirs": lambda f: asymmetric(f, "ES256"),
    "alg EdDSA with a key of theirs": lambda f: asymmetric(f, "EdDSA"),
    "crit of an unknown extension": lambda f: f.token({"crit": ["exp2"], "exp2": 1}),
    "crit empty": lambda f: f.token({"crit": []}),
    "crit of exp": lambda f: f.token({"crit": ["exp"], "exp": 1}),
    "crit b64": lambda f: f.token({"crit": ["b64"], "b64": False}),
    "b64 false": lambda f: f.token({"b64": False}),
    "kid unknown": lambda f: f.token({"kid": "unknown"}),
    "kid empty": lambda f: f.token({"kid": ""}),
    "kid null": lambda f: f.token({"kid": None}),
    "kid a path": lambda f: f.token({"kid": "../../../../dev/null"}, secret=b"\0"),
    "kid an SQL text": lambda f: f.token({"kid": "x' union select 'secret"}, secret=b"secret"),
    "kid a command": lambda f: f.token({"kid": "|id"}),
    "kid a number": lambda f: f.token({"kid": 1}),
    "kid a list": lambda f: f.token({"kid": [f.kid]}),
    "a key of its own": lambda f: f.token({"jwk": {"kty": "oct", "k": encode(b"x" * 32)}}, secret=b"x" * 32),
    "a key from elsewhere": lambda f: f.token({"jku": "https://evil.example/keys"}),
    "a certificate of its own": lambda f: f.token({"x5c": ["MIIB"]}),
    "a certificate from elsewhere": lambda f: f.token({"x5u": "https://evil.example/cert"}),
    "compressed": lambda f: f.token({"zip": "DEF"}),
    "encrypted": lambda f: f.token({"enc": "A256GCM"}),
    "another typ": lambda f: f.token({"typ": "id_token+jwt"}),
    "a header that is no object": lambda f: f"{encode('[]')}.{parts(f)[1]}.{parts(f)[2]}",
    "a header that is no JSON": lambda f: f"{encode('{')}.{parts(f)[1]}.{parts(f)[2]}",
    "a body that is no JSON": lambda f: f.token(claims="{"),
    "a body that is no object": lambda f: f.token(claims="[1]"),
    "a body nested deeply": lambda f: f.token(claims="[" * 1_500 + "]" * 1_500),
    "expired": lambda f: f.token(exp=int(f.now) - 1),
    "expires now": lambda f: f.token(exp=int(f.now)),
    "expires never": lambda f: f.token(exp=...),
    "exp null": lambda f: f.token(exp=None),
    "exp a text": lambda f: f.token(exp=str(int(f.now) + 600)),
    "exp true": lambda f: f.token(exp=True),
    "exp infinite": lambda f: f.token(exp=math.inf),
    "exp no number": lambda f: f.token(exp=math.nan),
    "exp beyond all time": lambda f: f.token(exp=10**30),
    "exp in milliseconds": lambda f: f.token(exp=int(f.now * 1_000_000)),
    "not yet": lambda f: f.token(nbf=int(f.now) + 60),
    "nbf missing": lambda f: f.token(nbf=...),
    "nbf a text": lambda f: f.token(nbf="0"),
    "issued in the future": lambda f: f.token(iat=int(f.now) + 60),
    "iat missing": lambda f: f.token(iat=...),
    "iat negative": lambda f: f.token(iat=-1),
    "another audience": lambda f: f.token(aud="other-api"),
    "audience missing": lambda f: f.token(aud=...),
    "audience empty": lambda f: f.token(aud=[]),
    "audience a part": lambda f: f.token(aud="cito"),
    "another issuer": lambda f: f.token(iss="https://evil.example"),
    "issuer missing": lambda f: f.token(iss=...),
    "issuer a list": lambda f: f.token(iss=["cito"]),
    "issuer in upper case": lambda f: f.token(iss="CITO"),
    "subject missing": lambda f: f.token(sub=...),
    "subject empty": lambda f: f.token(sub=""),
    "subject a number": lambda f: f.token(sub=1),
    "subject with a line break": lambda f: f.token(sub="a\nb"),
    "jti missing": lambda f: f.token(jti=...),
    "jti empty": lambda f: f.token(jti=""),
    "jti a number": lambda f: f.token(jti=1),
    "role missing": lambda f: f.token(role=...),
    "role a list": lambda f: f.token(role=["nurse", "admin"]),
    "role in upper case": lambda f: f.token(role="Nurse"),
    "clinic no UUID": lambda f: f.token(clinic="1"),
    "clinic in braces": lambda f: f.token(clinic=f"{{{CLINIC}}}"),
    "clinic without hyphens": lambda f: f.token(clinic=CLINIC.hex),
    "clinic in upper case": lambda f: f.token(clinic="ABCDEF00-0000-7000-8000-000000000001"),
    "clinic a list": lambda f: f.token(clinic=[str(CLINIC)]),
    "clinic an SQL text": lambda f: f.token(clinic="' or true --"),
}


AT_ONCE = 4


def bearing(make: Make, site: Site) -> list[tuple[bytes, bytes]]:
    """The headers of a request with such a token."""
    token = make(Forge(site.settings))
    return [(b"Authorization", b"Bearer " + (token.encode() if isinstance(token, str) else token))]


def test_there_are_at_least_sixty() -> None:
    assert len(BAD) >= 60


def test_the_forge_makes_good_tokens_when_asked_to(site: Site) -> None:
    forge = Forge(site.settings)
    assert site.verifier.verify(forge.token().encode()).clinic_id == CLINIC
    assert site.verifier.verify(forge.token({"kid": ..., "typ": "at+jwt"}, aud=["x", "cito-api"]).encode())


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_refused_like_every_other(
    client: httpx.AsyncClient, site: Site, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([100.0, 100.003] * 2)  # it took 3 ms to see that it is bad
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(auth, "monotonic", lambda: next(seen))
    monkeypatch.setattr(auth, "sleep", sleep)
    response = await client.get(THING, headers=bearing(make, site))
    plain = await client.get(THING)
    # Whatever is wrong with it, the answer leaves at the same moment.
    assert slept == [pytest.approx(auth.REFUSAL_SECONDS - 0.003)] * 2
    assert response.status_code == 401
    own = {"instance", "requestId"}
    assert {**response.json(), **dict.fromkeys(own)} == {**plain.json(), **dict.fromkeys(own)}
    assert response.headers.keys() == plain.headers.keys()


@pytest.mark.parametrize("worked_ms", [0.0, 0.5, 9.9, 10.1])
async def test_a_refusal_leaves_at_the_same_moment_however_long_it_took_to_see(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, worked_ms: float
) -> None:
    moments = iter([100.0, 100.0 + worked_ms / 1_000])
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(auth, "monotonic", lambda: next(moments))
    monkeypatch.setattr(auth, "sleep", sleep)
    assert (await client.get(THING, headers={"Authorization": "Bearer x"})).status_code == 401
    assert slept == [pytest.approx(auth.REFUSAL_SECONDS - worked_ms / 1_000)]


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("rounds", [1_000])
async def test_the_time_of_a_refusal_tells_nothing(
    client: httpx.AsyncClient, site: Site, rounds: int
) -> None:
    """All kinds, a few at a time: most of a refusal is waiting. All of them together would wait for each other."""
    made = {kind: bearing(make, site) for kind, make in BAD.items()}
    chance = random.Random(7)

    async def timed(kind: str) -> None:
        started = time.perf_counter()
        await client.get(THING, headers=made[kind])
        times[kind].append(time.perf_counter() - started)

    for _ in range(3):  # a machine under load may spoil a series; a leak would spoil all of them
        times: dict[str, list[float]] = {kind: [] for kind in made}
        for _ in range(rounds):
            kinds = chance.sample([*made], len(made))  # nobody is always second
            for at in range(0, len(kinds), AT_ONCE):
                await asyncio.gather(*map(timed, kinds[at : at + AT_ONCE]))
        medians = {kind: statistics.median(found) for kind, found in times.items()}
        if max(medians.values()) <= min(medians.values()) * 1.10:
            return
    fastest, slowest = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    pytest.fail(f"{slowest} {medians[slowest] * 1e3:.2f} ms, {fastest} {medians[fastest] * 1e3:.2f} ms")


def test_what_the_settings_pin_cannot_be_swapped(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The public key of RS256 is no secret: a token MACed with it must not hold."""
    settings = Settings(home=tmp_path_factory.mktemp("keys"), auth=AuthSettings(algorithm="RS256"))
    keys = load_keys(settings)
    assert keys.signing is not None
    kid, private = keys.signing
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    public = private.key.public_key()
    verifier = TokenVerifier(settings.auth, keys)
    forge = Forge.__new__(Forge)
    forge.kid, forge.now, forge.secret = kid, time.time(), b""
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        for encoding in (Encoding.PEM, Encoding.DER):
            secret = public.public_bytes(encoding, form)
            for algorithm in ("HS256", "RS256"):
                with pytest.raises(Unauthenticated):
                    verifier.verify(forge.token({"alg": algorithm}, secret=secret).encode())


class TestTheMemory:
    def test_a_known_token_is_not_verified_again_until_it_expires(self, settings: Settings) -> None:
        now = [time.time()]
        verifier = TokenVerifier(settings.auth, load_keys(settings), lambda: now[0])
        token = mint(settings, "nurse", CLINIC, 60, now=lambda: now[0]).encode()
        first = verifier.verify(token)
        assert verifier.verify(token) is first
        now[0] += 61
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
        assert not verifier._known

    def test_it_is_bounded(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        assert MAX_REMEMBERED == 10_000
        monkeypatch.setattr(tokens, "MAX_REMEMBERED", 5)
        verifier = TokenVerifier(settings.auth, load_keys(settings))
        for _ in range(20):
            verifier.verify(mint(settings, "nurse", CLINIC).encode())
        assert len(verifier._known) == 5

    def test_it_holds_no_token(self, settings: Settings) -> None:
        verifier = TokenVerifier(settings.auth, load_keys(settings))
        token = mint(settings, "nurse", CLINIC).encode()
        verifier.verify(token)
        assert list(verifier._known) == [hashlib.sha256(token).digest()]

    def test_a_refused_token_is_not_remembered(self, settings: Settings) -> None:
        verifier = TokenVerifier(settings.auth, load_keys(settings))
        with pytest.raises(Unauthenticated):
            verifier.verify(b"x.y.z")
        assert not verifier._known

    def test_a_revoked_token_is_forgotten_and_refused(self, settings: Settings) -> None:
        verifier = TokenVerifier(settings.auth, load_keys(settings))
        token, other = (mint(settings, "nurse", CLINIC).encode() for _ in range(2))
        verifier.revoke([verifier.verify(token).token_id])
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
        verifier.verify(other)


def test_rotation_keeps_what_the_old_key_signed_until_it_is_dropped(settings: Settings) -> None:
    old = mint(settings, "nurse", CLINIC).encode()
    path = settings.home / "keys" / "tokens.json"
    keys = read_key_set(path)["keys"]
    verifier = TokenVerifier(settings.auth, load_keys(settings))
    write_key_set(path, {"keys": [new_key("HS256"), *keys]}, replace=True)
    verifier.use_keys(load_keys(settings))
    new = mint(settings, "nurse", CLINIC).encode()
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert verifier.verify(old).clinic_id == verifier.verify(new).clinic_id == CLINIC
    write_key_set(path, {"keys": read_key_set(path)["keys"][:1]}, replace=True)
    verifier.use_keys(load_keys(settings))
    verifier.verify(new)
    with pytest.raises(Unauthenticated):
        verifier.verify(old)


def test_without_a_kid_several_keys_leave_the_choice_to_nobody(settings: Settings) -> None:
    forge = Forge(settings)
    path = settings.home / "keys" / "tokens.json"
    write_key_set(path, {"keys": [*read_key_set(path)["keys"], new_key("HS256")]}, replace=True)
    verifier = TokenVerifier(settings.auth, load_keys(settings))
    verifier.verify(forge.token().encode())
    with pytest.raises(Unauthenticated):
        verifier.verify(forge.token({"kid": ...}).encode())


def test_a_clinic_is_optional(site: Site) -> None:
    assert site.verifier.verify(Forge(site.settings).token(clinic=...).encode()).clinic_id is None
