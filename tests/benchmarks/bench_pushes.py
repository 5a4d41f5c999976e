"""`cito bench pushes`: how processes hear of new stamps: pushes of a tracking connection, or a stream that they read.

One writer sets stamps one after another; some listeners wait for each. With a stream the writer adds the name to it
in the same script, and each listener asks again after each answer.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from valkey import Valkey

from cito.core.commands.output import show

_SET = b"redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)"
_SET_AND_TELL = _SET + b" redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'n', KEYS[1])"


class Connection:
    """A plain connection: commands out, bytes in."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)

    def send(self, *words: bytes) -> None:
        self._socket.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        )

    def until(self, wanted: bytes) -> bytes:
        found = b""
        while wanted not in found:
            found += self._socket.recv(65536)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="cito bench pushes", description=__doc__)
    parser.add_argument("--stamps", type=int, default=2000)
    parser.add_argument("--listeners", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="Write the figures there.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        server = Valkey(Path(folder))
        try:
            rounds = [
                row
                for _ in range(given.rounds)
                for row in (
                    measure(server, "pushes", given.stamps, given.listeners, tracking),
                    measure(server, "stream", given.stamps, given.listeners, streaming),
                )
            ]
        finally:
            server.stop()
    show(rounds, title=f"{given.stamps} stamps, {given.listeners} listeners", as_json=False)
    if given.json:
        given.json.write_text(json.dumps(rounds, indent=2))


Listen = Callable[[list[Connection]], tuple[bytes, Callable[[Connection, bytes], None]]]


def measure(server: Valkey, name: str, stamps: int, listeners: int, listen: Listen) -> dict[str, object]:
    """Return latencies from before the writer's command to each listener's news, and the server's CPU for a stamp."""
    connections = [Connection(server.path) for _ in range(listeners)]
    script, hear = listen(connections)
    writer = Connection(server.path)
    before = cpu(writer)
    heard: list[float] = []
    for number in range(stamps):
        stamp = b"s:%08d" % number
        began = time.perf_counter()
        writer.send(b"EVAL", script, b"2", stamp, b"news", b"x" * 16)
        for connection in connections:
            hear(connection, stamp)
            heard.append(time.perf_counter() - began)
        writer.until(b"\r\n")
    spent = cpu(writer) - before
    heard.sort()
    return {
        "way": name,
        "p50 us": round(statistics.median(heard) * 1e6),
        "p99 us": round(heard[int(len(heard) * 0.99)] * 1e6),
        "server CPU us a stamp": round(spent / stamps * 1e6, 1),
    }


def tracking(connections: list[Connection]) -> tuple[bytes, Callable[[Connection, bytes], None]]:
    """Have the server push every name under the prefix."""
    for connection in connections:
        connection.send(b"HELLO", b"3")
        connection.send(b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", b"s:")
        connection.send(b"PING")
        connection.until(b"PONG")

    def hear(connection: Connection, stamp: bytes) -> None:
        connection.until(stamp)

    return _SET, hear


def streaming(connections: list[Connection]) -> tuple[bytes, Callable[[Connection, bytes], None]]:
    """Read a stream, blocked until there is more."""

    def wait(connection: Connection, last: bytes) -> None:
        connection.send(b"XREAD", b"BLOCK", b"0", b"STREAMS", b"news", last)

    def hear(connection: Connection, stamp: bytes) -> None:
        answer = connection.until(stamp)
        wait(connection, next(line for line in answer.split(b"\r\n") if line[:1].isdigit() and b"-" in line))

    for connection in connections:
        wait(connection, b"$")
    time.sleep(0.05)
    return _SET_AND_TELL, hear


def cpu(connection: Connection) -> float:
    """Return the CPU seconds that the server has used."""
    connection.send(b"INFO", b"cpu")
    found = connection.until(b"used_cpu_user_children").decode()
    figures = dict(line.split(":", 1) for line in found.splitlines() if ":" in line)
    return float(figures["used_cpu_sys"]) + float(figures["used_cpu_user"])


if __name__ == "__main__":
    main()
