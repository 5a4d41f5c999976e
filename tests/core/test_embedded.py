from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import redis

from cito.core.database.roles import prepare_server
from cito.core.embedded import Embedded, Urls, alive, running


def test_roles_own_nothing_and_bypass_nothing(urls: Urls) -> None:
    with psycopg.connect(urls.admin) as admin:
        roles = dict(
            admin.execute(
                "select rolname, (rolsuper, rolbypassrls, rolcanlogin)::text from pg_roles where rolname like 'cito%'"
            ).fetchall()
        )
    assert roles == {"cito_owner": "(f,f,t)", "cito_app": "(f,f,t)", "cito_search": "(f,t,f)"}


def test_preparing_twice_changes_nothing(home: Path, urls: Urls) -> None:
    with psycopg.connect(urls.owner) as owner:
        before = owner.execute("select count(*) from pg_extension").fetchone()
    keys = Embedded(home)._passwords()
    prepare_server(urls.admin, database="cito", owner_password=keys["owner"], app_password=keys["app"])
    with psycopg.connect(urls.owner) as owner:
        assert owner.execute("select count(*) from pg_extension").fetchone() == before


def test_data_survive_a_restart_and_nothing_is_left_running() -> None:
    with tempfile.TemporaryDirectory(prefix="cito-embedded-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with running(home, durable=False) as urls, psycopg.connect(urls.owner) as owner:
            owner.execute("create table kept as select 42 as answer")
        assert not alive(home / "run" / "postgres.pid")
        assert not alive(home / "run" / "valkey.pid")
        with running(home, durable=False) as urls, psycopg.connect(urls.owner) as owner:
            assert owner.execute("select answer from kept").fetchone() == (42,)


def test_a_running_server_is_shared_and_left_running(home: Path, urls: Urls) -> None:
    pid = (home / "run" / "postgres.pid").read_text()
    with running(home, durable=False) as same:
        assert same == urls
    assert (home / "run" / "postgres.pid").read_text() == pid
    assert alive(home / "run" / "postgres.pid")


def test_cache_keeps_nothing_on_disk_and_evicts_only_what_expires(urls: Urls) -> None:
    cache = redis.Redis.from_url(urls.cache)
    assert cache.config_get("maxmemory")["maxmemory"] == str(100 * 1024 * 1024)
    assert cache.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-lru"
    assert cache.config_get("save")["save"] == ""
    cache.close()


def test_a_long_home_gets_a_short_socket_path() -> None:
    urls = Embedded(Path("/tmp") / ("long" * 40)).urls()
    assert len(urls.cache) < 107
