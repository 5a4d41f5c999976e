"""CloudWatch's OTLP endpoints take what is signed: the signature is computed again, from what arrived."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from cito.core.settings import ObservabilitySettings
from cito.observability.exporters import build
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics

from .conftest import Made
from .otlp_server import collector

BOUNDS = bounds_with([])
NOW = 1_800_000_000.0
SERVICES = {"/base/v1/traces": "xray", "/base/v1/metrics": "monitoring"}


def signatures(secret: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, str]:
    """Return the signature that arrived, and the one that AWS's Signature Version 4 asks for."""
    parts = headers["authorization"].split(" ", 1)[1].split(",")
    given = dict(part.strip().partition("=")[::2] for part in parts)
    names = given["SignedHeaders"].split(";")
    assert {"host", "x-amz-date"} <= set(names)
    lines = [f"{name}:{headers[name].strip()}" for name in names]
    payload = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", path, "", *lines, "", given["SignedHeaders"], payload])
    scope = given["Credential"].partition("/")[2]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    return given["Signature"], hmac.new(key, text.encode(), "sha256").hexdigest()


def test_the_signature_is_of_what_is_sent(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    metrics = Metrics(BOUNDS)
    metrics.fold(made("get_medication"))
    with collector() as server:
        chosen = {"otlp_preset": "cloudwatch", "otlp_url": server.url("/base"), "region": "eu-central-1"}
        out = build(ObservabilitySettings(**chosen), BOUNDS, 0, lambda: NOW)
        out.start()
        assert out.spans is not None
        out.spans.offer(made("get_medication"))
        out.metrics[0].add(metrics.cut(NOW))
        out.stop()
    assert {path for path, _ in server.bodies} == SERVICES.keys()
    for (path, _), headers, raw in zip(server.bodies, server.headers, server.raw, strict=True):
        told, computed = signatures("a secret", path, headers, raw)
        assert told == computed
        assert f"/eu-central-1/{SERVICES[path]}/aws4_request" in headers["authorization"]
