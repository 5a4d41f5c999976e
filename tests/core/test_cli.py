"""The command as scripts use it: exit codes, bare output, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jwt
import psycopg
import pytest
from support import CLINIC

from cito.core.cli import main
from cito.core.embedded import Urls


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


Cito = Callable[..., Done]


@pytest.fixture
def cito(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cito:
    """Run `cito` in this process, as its script does."""

    def run(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(home)
            for name, value in {"CITO_HOME": str(home), "CITO_PLUGINS": "", **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["cito", *arguments])
            capsys.readouterr()
            with pytest.raises(SystemExit) as left:
                main()
            said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return run


def test_token_prints_a_bare_token(cito: Cito, urls: Urls) -> None:
    done = cito("token", "--role", "admin", "--clinic", str(CLINIC), "--expires", "60")
    assert done.returncode == 0, done.stderr
    claims = jwt.decode(done.stdout.strip(), options={"verify_signature": False})
    assert (claims["role"], claims["clinic"], claims["exp"] - claims["iat"]) == ("admin", str(CLINIC), 60)


def test_an_unknown_role_is_wrong_usage(cito: Cito) -> None:
    done = cito("token", "--role", "king")
    assert done.returncode == 2
    assert "--role king: choose one of" in done.stderr


def test_url_prints_what_psql_takes(cito: Cito, urls: Urls) -> None:
    for role, user in (("app", "cito_app"), ("owner", "cito_owner")):
        done = cito("url", "database", "--role", role)
        with psycopg.connect(done.stdout.strip()) as connection:
            assert connection.execute("select current_user").fetchone() == (user,)
    assert cito("url", "cache").stdout.strip() == urls.cache
    assert cito("url", "kitchen").returncode == 2


def test_plugins_lists_declarations_with_their_distribution(cito: Cito) -> None:
    rows = json.loads(cito("plugins", "--json").stdout)
    assert rows[0]["plugin"] == "core"
    assert "admin:read" in rows[0]["declares"]["grants"]
    observability = next(row for row in rows if row["plugin"] == "observability")
    assert observability["distribution"] == "cito"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CITO_PLUGINS": "dentistry"}, "plugin dentistry: not installed"),
        ({"CITO_DATABASE__POOLMAX": "1"}, "database.poolmax: unknown key"),
        ({"CITO_ENVIRONMENT": "production"}, "auth.secret or auth.jwks_file: required in production"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_2(
    cito: Cito, environment: dict[str, str], message: str
) -> None:
    done = cito("plugins", **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_config_may_stand_anywhere(cito: Cito, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[observability]\nenabled = false\n")
    for arguments in (
        ["--config", str(file), "plugins", "--json"],
        ["plugins", "--json", f"--config={file}"],
    ):
        rows = json.loads(cito(*arguments).stdout)
        assert [row["plugin"] for row in rows] == ["core"]
    missing = cito("plugins", "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 2
    assert "no such file" in missing.stderr


def test_an_unreachable_database_is_exit_3(cito: Cito) -> None:
    done = cito("migrate", CITO_DATABASE__URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_prints_what_a_superuser_runs_and_says_which_urls_it_needs(cito: Cito, urls: Urls) -> None:
    there = {"CITO_DATABASE__URL": urls.app, "CITO_DATABASE__OWNER_URL": urls.owner}
    printed = cito("prepare", **there)
    assert printed.returncode == 0, printed.stderr
    assert "create role cito_search nologin" in printed.stdout
    assert ":'owner_password'" in printed.stdout
    assert cito("prepare", urls.admin, **there).returncode == 0
    refused = cito("prepare", urls.app, **there)
    assert (refused.returncode, refused.stderr.startswith("PostgreSQL refuses: ")) == (1, True)
    lacking = cito("prepare", CITO_DATABASE__URL=urls.app)
    assert lacking.returncode == 2
    assert "database.owner_url: write postgresql://cito_owner:" in lacking.stderr


def test_a_role_that_may_not_migrate_is_wrong_usage(cito: Cito, empty_database: Urls) -> None:
    done = cito("migrate", CITO_DATABASE__URL=empty_database.app)
    assert done.returncode == 2
    assert done.stderr.startswith("database.owner_url: its role may not do this")


def test_doctor_finds_what_is_pending_and_is_content_once_migrated(cito: Cito, empty_database: Urls) -> None:
    there = {"CITO_DATABASE__URL": empty_database.app, "CITO_DATABASE__OWNER_URL": empty_database.owner}
    before = cito("doctor", "--json", **there)
    findings = {one["check"]: one for one in json.loads(before.stdout)}
    assert before.returncode == 1
    assert findings["migrations"]["todo"] == "run `cito migrate`"
    assert "core_0001" in findings["migrations"]["found"]

    planned = cito("migrate", "--dry-run", **there)
    assert "-- core_0001_privileges" in planned.stdout
    assert cito("migrate", **there).returncode == 0
    assert cito("indexes", "apply", **there).returncode == 0
    after = cito("doctor", "--json", **there)
    assert [one["check"] for one in json.loads(after.stdout) if not one["ok"]] == []
    assert after.returncode == 0


def test_doctor_shows_no_password(cito: Cito, urls: Urls) -> None:
    password = urls.app.split(":")[2].split("@")[0]
    done = cito("doctor")
    assert password not in done.stdout + done.stderr


def test_doctor_names_an_invalid_index_and_an_unprotected_table(cito: Cito, empty_database: Urls) -> None:
    there = {"CITO_DATABASE__URL": empty_database.app, "CITO_DATABASE__OWNER_URL": empty_database.owner}
    cito("migrate", **there)
    with psycopg.connect(empty_database.owner, autocommit=True) as owner:
        owner.execute("create table visits (clinic_id uuid, id int)")
        owner.execute("insert into visits values (null, 1), (null, 1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("create unique index concurrently visits_id on visits (id)")
    findings = {one["check"]: one for one in json.loads(cito("doctor", "--json", **there).stdout)}
    assert findings["invalid indexes"]["found"] == "1 invalid: visits_id"
    assert "visits" in findings["row-level security"]["found"]


@pytest.fixture
def formulary(cito: Cito, empty_database: Urls) -> dict[str, str]:
    """The environment of a seeded formulary with its indexes."""
    there = {
        "CITO_DATABASE__URL": empty_database.app,
        "CITO_DATABASE__OWNER_URL": empty_database.owner,
        "CITO_PLUGINS": "medications",
    }
    seeded = cito("seed", "medications", "--count", "300", **there)
    assert seeded.returncode == 0, seeded.stderr
    return there


def test_indexes_are_kept_verified_and_reported(cito: Cito, formulary: dict[str, str]) -> None:
    applied = json.loads(cito("indexes", "apply", "--json", **formulary).stdout)
    assert {one["done"] for one in applied if one["name"].startswith("medications_")} == {"kept"}
    verified = cito("indexes", "verify", "--json", **formulary)
    verdicts = {one["query"]: one["verdict"] for one in json.loads(verified.stdout)}
    assert verified.returncode == 0
    assert verdicts["list_medications"] == "usable"
    report = {one["name"]: one for one in json.loads(cito("indexes", "report", "--json", **formulary).stdout)}
    assert report["medications_search"]["declared"]


def test_verify_fails_with_the_plan_of_a_query_that_reads_a_large_table(
    cito: Cito, formulary: dict[str, str]
) -> None:
    done = cito("indexes", "verify", "--large", "100", **formulary)
    assert done.returncode == 1
    assert "reads all of medications" in " ".join(done.stdout.split())
    assert "Seq Scan on medications" in done.stdout


def test_explain_shows_a_plan_by_example_by_parameters_and_without(
    cito: Cito, formulary: dict[str, str], tmp_path: Path
) -> None:
    assert "planned in" in cito("explain", "search_medications", **formulary).stdout
    given = tmp_path / "params.json"
    given.write_text('{"search": "ibuprofen", "ndcs": [], "past": 0, "size": 5}')
    tree = cito("explain", "search_medications", "--params", str(given), **formulary)
    assert tree.returncode == 0, tree.stderr
    generic = json.loads(cito("explain", "search_medications", "--generic", "--json", **formulary).stdout)
    assert (generic["generic"], generic["execution_ms"]) == (True, None)
    given.write_text('{"search": "ibuprofen"}')
    lacking = cito("explain", "search_medications", "--params", str(given), **formulary)
    assert (lacking.returncode, "--params lacks " in lacking.stderr) == (1, True)
    unknown = cito("explain", "search_medicines", **formulary)
    assert (unknown.returncode, "no such query" in unknown.stderr) == (2, True)


def test_queries_are_reported_by_name(cito: Cito, formulary: dict[str, str]) -> None:
    cito("explain", "count_medications", **formulary)
    done = cito("queries", "report", "--json", **formulary)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_the_installed_script_is_this_command(home: Path) -> None:
    script = Path(sys.executable).parent / "cito"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "serve" in done.stdout
