from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from cito.core.settings import Settings, SettingsError, load_settings, plugin_settings

SECRET = {"CITO_AUTH__SECRET": "s" * 32, "CITO_AUDIT__KEY": "ab" * 32}
SERVERS = {"CITO_DATABASE__URL": "postgresql://db/cito", "CITO_CACHE__URL": "rediss://cache:6379"}


def written(folder: Path, text: str) -> Path:
    file = folder / "cito.toml"
    file.write_text(text)
    return file


def test_defaults_are_embedded_and_on_port_8000(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""), {})
    assert (settings.database.url, settings.cache.url, settings.server.port) == ("embedded", "embedded", 8000)


def test_environment_goes_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "plugins = ['drugs']\n[database]\npool_max = 7\ncoalescing = true\n")
    settings = load_settings(
        file,
        {
            "CITO_DATABASE__POOL_MAX": "9",
            "CITO_DATABASE__COALESCING": "false",
            "CITO_DATABASE__REPLICAS": "postgresql://a/c,postgresql://b/c",
            "CITO_PLUGINS": "patients,drugs",
            "CITO_ROLLOUT__SEARCH_PATIENTS": "naive",
            "CITO_HOME": "/var/lib/cito",
            "OTHER": "ignored",
        },
    )
    assert settings.database.pool_max == 9
    assert settings.database.coalescing is False
    assert settings.database.replicas == ("postgresql://a/c", "postgresql://b/c")
    assert settings.plugins == ("patients", "drugs")
    assert settings.rollout == {"search_patients": "naive"}
    assert settings.home == Path("/var/lib/cito")


@pytest.mark.parametrize(
    ("text", "environment", "names"),
    [
        ("[database]\npoolmax = 3", {}, "database.poolmax: unknown key"),
        ("colour = 'red'", {}, "colour: unknown key"),
        ("", {"CITO_SERVER__PORTS": "1"}, "server.ports: unknown key"),
        ("[database]\npool_max = 'many'", {}, "database.pool_max: expected int"),
        ("", {"CITO_SERVER__PORT": "70000"}, "server.port: between 1 and 65535"),
        ("", {"CITO_OBSERVABILITY__SAMPLE_RATIO": "2"}, "observability.sample_ratio: between 0 and 1"),
        ("", {"CITO_DATABASE__URL": "mysql://x"}, "database.url: `embedded` or a postgresql:// URL"),
        ("", {"CITO_CACHE__URL": "memcached://x"}, "cache.url: `embedded` or a redis:// or rediss:// URL"),
        ("environment = 'staging'", {}, "environment: "),
        ("plugins = [", {}, "cito.toml"),
        ("[server]\ntls_key = 'key.pem'", {}, "server.tls_certificate and server.tls_key: both, or neither"),
        ("", {"CITO_AUDIT__KEY_FILE": "/no/such/file"}, "CITO_AUDIT__KEY_FILE: names a file that cannot be"),
        ("environment = 'production'", SERVERS, "auth.secret or auth.jwks_file: required in production"),
        (
            "environment = 'production'",
            SERVERS | {"CITO_AUTH__SECRET": "s" * 32},
            "audit.key (CITO_AUDIT__KEY): required in production",
        ),
        ("environment = 'production'", SECRET, "database.url and cache.url: name real servers"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    tmp_path: Path, text: str, environment: dict[str, str], names: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(written(tmp_path, text), environment)
    assert names in str(refused.value)
    assert "\n" not in str(refused.value)


def test_production_with_secret_and_servers_is_accepted(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "environment = 'production'"), SECRET | SERVERS)
    assert settings.environment == "production"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "audit-key"
    secret.write_text("ab" * 32 + "\n")
    keys = {"CITO_AUDIT__KEY_FILE": str(secret), "CITO_AUTH__JWKS_FILE": "keys.json"}
    settings = load_settings(written(tmp_path, ""), keys)
    assert settings.audit.key == "ab" * 32
    assert settings.auth.jwks_file == Path("keys.json")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(tmp_path / "missing.toml", {})


def test_a_plugins_own_table_is_checked_by_its_struct() -> None:
    class Own(msgspec.Struct, forbid_unknown_fields=True):
        depth: int = 1

    assert plugin_settings(Settings(plugin={"x": {"depth": 3}}), "x", Own).depth == 3
    with pytest.raises(SettingsError, match=r"plugin\.x: deep: unknown key"):
        plugin_settings(Settings(plugin={"x": {"deep": 3}}), "x", Own)


def test_every_variable_of_the_contract_is_a_setting(tmp_path: Path, shared: Path) -> None:
    contract = (shared / "contract.md").read_text()
    variables = set(re.findall(r"`CITO_([A-Z]+)__([A-Z_]+)`", contract))
    assert ("SERVER", "PORT") in variables
    settings = load_settings(written(tmp_path, ""), {})
    unknown = [(s, key) for s, key in variables if not hasattr(getattr(settings, s.lower()), key.lower())]
    assert not unknown


def test_a_table_is_written_as_names_and_values(tmp_path: Path) -> None:
    variable = "CITO_OBSERVABILITY__OTLP_HEADERS"
    loaded = load_settings(None, {variable: "x-team=clinic,x-token=a=b", "CITO_HOME": str(tmp_path)})
    assert loaded.observability.otlp_headers == {"x-team": "clinic", "x-token": "a=b"}
    with pytest.raises(SettingsError, match=f"{variable}: write name=value"):
        load_settings(None, {variable: "Bearer secret"})
