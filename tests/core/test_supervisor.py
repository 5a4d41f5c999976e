from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cito.core.supervisor import Part, Supervisor

WAITS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
NOTES_ITS_END = (
    "import signal, sys, pathlib\n"
    "def end(*_):\n"
    "    with open(sys.argv[1], 'a') as file: file.write(sys.argv[2] + '\\n')\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "pathlib.Path(sys.argv[1] + '.' + sys.argv[2]).touch()\n"
    "signal.pause()"
)
DEAF = (
    "import signal, sys, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).touch(); signal.pause()"
)


def python(code: str, *arguments: str) -> Callable[[], subprocess.Popen[bytes]]:
    return partial(subprocess.Popen, [sys.executable, "-c", code, *arguments], start_new_session=True)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid_of(run: Path, name: str) -> int:
    try:
        return int((run / f"{name}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def test_parts_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    names = ("relay", "worker", "api")
    supervisor = Supervisor(
        [Part(name, python(NOTES_ITS_END, str(ends), name), stop_seconds=20) for name in names],
        tmp_path,
        print,
    )
    supervisor.start()
    until(lambda: all(Path(f"{ends}.{name}").exists() for name in names))
    supervisor.stop()
    assert ends.read_text().split() == ["api", "worker", "relay"]
    assert not list(tmp_path.glob("*.pid"))


def test_a_part_that_dies_is_started_again_and_the_others_stay(tmp_path: Path) -> None:
    said: list[str] = []
    parts = [Part("relay", python(WAITS), stop_seconds=5), Part("api", python(WAITS), stop_seconds=5)]
    supervisor = Supervisor(parts, tmp_path, said.append)
    supervisor.start()
    first, other = pid_of(tmp_path, "relay"), pid_of(tmp_path, "api")
    os.kill(first, signal.SIGKILL)

    def end_when_back() -> None:
        until(lambda: pid_of(tmp_path, "relay") not in (0, first))
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=end_when_back)
    watcher.start()
    supervisor.watch(poll_seconds=0.01)
    watcher.join()
    assert pid_of(tmp_path, "api") == other
    assert said == ["relay ended with -9; starting it again in 0.1 s"]
    supervisor.stop()


def test_a_part_that_does_not_listen_is_killed_after_its_time(tmp_path: Path) -> None:
    part = Part("deaf", python(DEAF, str(tmp_path / "deaf")), stop_seconds=0.2)
    supervisor = Supervisor([part], tmp_path, print)
    supervisor.start()
    until((tmp_path / "deaf").exists)
    supervisor.stop()
    assert part.process is not None
    assert part.process.returncode == -signal.SIGKILL


def test_a_suspended_part_still_stops_in_order(tmp_path: Path) -> None:
    ready = tmp_path / "ends"
    part = Part("api", python(NOTES_ITS_END, str(ready), "api"), stop_seconds=20)
    supervisor = Supervisor([part], tmp_path, print)
    supervisor.start()
    until(lambda: Path(f"{ready}.api").exists())
    os.kill(pid_of(tmp_path, "api"), signal.SIGSTOP)
    supervisor.stop()
    assert part.process is not None
    assert part.process.returncode == 0


def test_a_signal_that_comes_while_something_else_runs_is_not_lost(tmp_path: Path) -> None:
    class Interrupted:
        def __del__(self) -> None:  # whatever is raised here, nobody hears of it
            os.kill(os.getpid(), signal.SIGINT)

    supervisor = Supervisor([Part("api", python(WAITS), stop_seconds=20)], tmp_path, print)
    with supervisor.heeding():
        supervisor.start()
        Interrupted()
        supervisor.watch()
    supervisor.stop()
    assert supervisor.ended() == ["api"]
