"""`cito.toml` and the environment, typed and checked at start: every mistake is one line that names it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec

EMBEDDED = "embedded"
_PORT_MAX = 65_535
_LOCAL_BYTES_MIN = 1_048_576
S = TypeVar("S", bound=msgspec.Struct)
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^@:/?#,\[\]]*)(?::\d*)?"
_URL = re.compile(rf"[a-z]+://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*(?:[/?#].*)?")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


class SettingsError(Exception):
    """A setting that is unknown, badly typed or missing; the message is one line that names it."""


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP server: where it listens and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    drain_seconds: float = 10.0


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PostgreSQL: where, how many connections, how long to wait."""

    url: str = EMBEDDED
    owner_url: str | None = None  # for migrations; None: the same server as the owner of the schema
    pool_max: int = 20  # for all processes of a node together
    acquire_timeout_seconds: float = 2.0
    idle_seconds: float = 600.0
    statement_timeout_seconds: float = 5.0
    coalescing: bool = True
    slow_query_ms: float = 100.0
    replicas: tuple[str, ...] = ()


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two tiers of the cache."""

    url: str = EMBEDDED
    enabled: bool = True
    local_bytes: int = 64 * 1024 * 1024
    deadline_ms: float = 50.0


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Manners and limits of the API."""

    fast_path: bool = True
    max_body_bytes: int = 1_048_576
    request_timeout_seconds: float = 15.0
    max_in_flight: int = 1_024  # requests in one process; more are shed, /health never is
    # A net under programs that run wild, above what a node answers: see docs/security.md for rates that people need.
    rate_per_subject_per_second: float = 50_000.0
    rate_per_clinic_per_second: float = 100_000.0
    cors_origins: tuple[str, ...] = ()


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are verified. Without keys, development makes its own; production refuses to start."""

    issuer: str = "cito"
    audience: str = "cito-api"
    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"] = "HS256"
    secret: str | None = None
    jwks_file: Path | None = None


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How accesses are written down. `key` seals the rows (64 hex digits); development makes its own."""

    key: str | None = None
    sync_ms: float = 5.0  # a power cut loses at most what was written within it


class ObservabilitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is watched and where it is sent."""

    enabled: bool = True
    sample_ratio: float = 0.01
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_preset: str = "otlp"  # otlp, grafana, datadog, newrelic, sentry, cloudwatch
    otlp_url: str | None = None  # None: nothing is sent over OTLP, unless the preset knows where
    otlp_key: str | None = None
    otlp_headers: dict[str, str] = {}
    region: str | None = None  # of AWS
    cloudwatch: Literal["off", "put", "emf"] = "off"
    cloudwatch_url: str | None = None  # None: the region's
    namespace: str = "Cito"  # of CloudWatch metrics
    export_seconds: float = 15.0  # between two deliveries of metrics
    webhook_url: str | None = None
    webhook_secret: str | None = None  # None: one is made and kept in the home's keys
    history_days: int = 30


class JobsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Background work."""

    broker_url: str = EMBEDDED


class ComputeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pool for heavy arithmetic."""

    pool_size: int = 2
    timeout_seconds: float = 10.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one Cito."""

    environment: Literal["development", "production"] = "development"
    home: Path = Path(".cito")
    plugins: tuple[str, ...] = ("patients", "medications", "drugs")
    server: Server = Server()
    database: DatabaseSettings = DatabaseSettings()
    cache: CacheSettings = CacheSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    audit: AuditSettings = AuditSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    jobs: JobsSettings = JobsSettings()
    compute: ComputeSettings = ComputeSettings()
    rollout: dict[str, str] = {}
    plugin: dict[str, dict[str, Any]] = {}  # [plugin.<name>]: checked by the plugin's own struct


def load_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read `path` (None: `cito.toml` where it exists, else defaults), then `CITO_SECTION__KEY` over it.

    `CITO_SECTION__KEY_FILE` names a file that holds the value, as container platforms hand over secrets.

    Raises:
        SettingsError: one line that names the first wrong key and the rule.
    """
    found = path or Path("cito.toml")
    if path is not None and not path.exists():
        raise SettingsError(f"{path}: no such file")
    try:
        tree: dict[str, Any] = tomllib.loads(found.read_text()) if found.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{found}: {error}") from None
    for name, value in environment.items():
        if name.startswith("CITO_"):
            _overlay(tree, name, value)
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{found.name} or environment: {_readable(str(error))}") from None
    _check(settings)
    return settings


def plugin_settings(settings: Settings, name: str, struct: type[S]) -> S:
    """Return a plugin's own `[plugin.<name>]` table as its struct.

    Raises:
        SettingsError: one line that names the key and the rule.
    """
    try:
        return msgspec.convert(settings.plugin.get(name, {}), struct, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(f"plugin.{name}: {_readable(str(error))}") from None


def _overlay(tree: dict[str, Any], variable: str, value: str) -> None:
    """Put one variable's value where its name says: `CITO_DATABASE__POOL_MAX` is `database.pool_max`."""
    section, _, key = variable.removeprefix("CITO_").lower().partition("__")
    if not key:
        tree[section] = [v for v in value.split(",") if v] if section == "plugins" else value
        return
    struct = get_type_hints(Settings).get(section)
    fields = get_type_hints(struct) if struct is not None and hasattr(struct, "__struct_fields__") else {}
    if key not in fields and key.removesuffix("_file") in fields:
        key, value = key.removesuffix("_file"), _content(variable, Path(value))
    tree.setdefault(section, {})[key] = _typed(variable, str(fields.get(key, "")), value)


def _typed(variable: str, kind: str, value: str) -> str | list[str] | dict[str, str]:
    """Return a variable's value in the shape of its field: lists are `a,b`, tables `name=value,other=value`."""
    parts = [part for part in value.split(",") if part]
    if kind.startswith("dict"):
        if not all("=" in part for part in parts):
            raise SettingsError(f"{variable}: write name=value, several separated by commas")
        return dict(part.split("=", 1) for part in parts)
    return parts if "tuple" in kind else value


def _content(variable: str, path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{variable}: names a file that cannot be read") from None


def _decode(kind: type[Any], value: object) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected a {kind.__name__}")


def _readable(message: str) -> str:
    """Turn msgspec's message around, so that the key comes first: `database.pool_max: expected int, got str`."""
    rule, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    unknown = _UNKNOWN.fullmatch(rule)
    if unknown:
        return f"{path + '.' if path else ''}{unknown[1]}: unknown key"
    return f"{path}: {rule[0].lower()}{rule[1:]}".replace("`", "") if path else rule


def _urls(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each URL that is given."""
    database, observed = settings.database, settings.observability
    given = {
        "database.url": database.url,
        "database.owner_url": database.owner_url,
        **{f"database.replicas[{number}]": url for number, url in enumerate(database.replicas)},
        "cache.url": settings.cache.url,
        "jobs.broker_url": settings.jobs.broker_url,
        "observability.otlp_url": observed.otlp_url,
        "observability.cloudwatch_url": observed.cloudwatch_url,
        "observability.webhook_url": observed.webhook_url,
    }
    for name, url in given.items():
        if url and url != EMBEDDED:
            yield name, url


def _check(settings: Settings) -> None:
    """Hold the rules that types cannot say."""
    ratio = settings.observability.sample_ratio
    rules = (
        (0 < settings.server.port <= _PORT_MAX, "server.port: between 1 and 65535"),
        (settings.server.workers >= 1, "server.workers: at least 1"),
        (
            (settings.server.tls_certificate is None) == (settings.server.tls_key is None),
            "server.tls_certificate and server.tls_key: both, or neither",
        ),
        (settings.database.pool_max >= 1, "database.pool_max: at least 1"),
        (0 <= ratio <= 1, "observability.sample_ratio: between 0 and 1"),
        (settings.cache.local_bytes >= _LOCAL_BYTES_MIN, "cache.local_bytes: at least 1048576"),
        (
            settings.database.url == EMBEDDED
            or settings.database.url.startswith(("postgresql://", "postgres://")),
            "database.url: `embedded` or a postgresql:// URL",
        ),
        (
            settings.cache.url == EMBEDDED
            or settings.cache.url.startswith(("redis://", "rediss://", "unix://")),
            "cache.url: `embedded` or a redis:// or rediss:// URL",
        ),
    )
    for holds, rule in rules:
        if not holds:
            raise SettingsError(rule)
    for name, url in _urls(settings):
        if not _URL.fullmatch(url):  # else whoever connects would quote a half of the password as the host
            raise SettingsError(f"{name}: not a URL; percent-encode what is special in its password")
    if settings.environment == "production":
        if not (settings.auth.secret or settings.auth.jwks_file):
            raise SettingsError(
                "auth.secret or auth.jwks_file: required in production, nothing is made up there"
            )
        if not settings.audit.key:
            raise SettingsError(
                "audit.key (CITO_AUDIT__KEY): required in production; `openssl rand -hex 32` makes one"
            )
        if EMBEDDED in (settings.database.url, settings.cache.url):
            raise SettingsError("database.url and cache.url: name real servers in production, not `embedded`")
