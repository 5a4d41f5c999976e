"""Two API processes on two cores against one on one: they share nothing but the shared cache and the database.

Server side: the load needs a share of both cores, so throughput says nothing of the server here. What does is the
CPU time of a request: two workers give `2 x cpu(one worker) / cpu(two workers)` of one, each with as many connections.
Goal: at least 1.8. What two processes reach that share nothing but the machine stands beside it: cores that share
caches, or a core, give less than 2. A write through one worker is then looked for through the other.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time

from bench_fast_path import PORT, Site, cito
from harness import CLIENT_CORE, SERVER_CORE, Subject, arguments, cpu_seconds, load, requests_in
from rich.console import Console

CONNECTIONS = 64  # for each worker
_CORES = (SERVER_CORE, CLIENT_CORE)
_ALONE = """
import time
kept = {n: str(n) for n in range(20_000)}
began = time.process_time()
for _ in range(60):
    for n in kept:
        kept[n] = kept[n] + "x" if len(kept[n]) < 9 else str(n)
print(time.process_time() - began)
"""


def main() -> None:
    """Measure one and two workers in interleaved rounds."""
    given = arguments(__doc__ or "")
    with cito(PORT + 4) as one, cito(PORT + 5, CITO_SERVER__WORKERS="2") as two:
        for site in (one, two):
            for pid, core in zip(site.api_pids, _CORES, strict=False):
                subprocess.run(["taskset", "-apc", core, str(pid)], check=True, stdout=subprocess.DEVNULL)
        rounds = []
        for _ in range(given.rounds):
            (alone, _), (both, shares) = (_measured(site, given.seconds) for site in (one, two))
            rounds.append(
                {
                    "one_us": alone,
                    "two_us": both,
                    "ratio": 2 * alone / both,
                    "shares": shares,
                    "machine": _machine(),
                }
            )
        shown_ms = _shown_at_the_other(two)
    console = Console(width=120)
    for found in rounds:
        shares = " + ".join(f"{share:.0%}" for share in found["shares"])
        console.print(
            f"CPU/request {found['one_us']:.1f} us with one worker, {found['two_us']:.1f} us with two ({shares}): "
            f"x {found['ratio']:.2f}; two processes that share nothing: x {found['machine']:.2f}"
        )
    console.print(
        f"a write through one worker showed on {CONNECTIONS} connections to both in {shown_ms:.0f} ms"
    )
    if given.json:
        given.json.write_text(json.dumps({"rounds": rounds, "shown_ms": shown_ms}, indent=1) + "\n")


def _measured(site: Site, seconds: float) -> tuple[float, list[float]]:
    """Load a site; return CPU microseconds a request, and what share of that time each worker spent."""
    patient = json.loads(site.get("/api/patients?search=smith"))["patients"][0]["id"]
    subject = Subject("", [], f"/api/patients/{patient}", {"Authorization": f"Bearer {site.token}"})
    connections = CONNECTIONS * len(site.api_pids)
    load(subject, site.port, connections, min(1.0, seconds), cores=",".join(_CORES))  # warm
    before = [cpu_seconds(pid) for pid in site.api_pids]
    answered = requests_in(load(subject, site.port, connections, seconds, cores=",".join(_CORES)))
    spent = [cpu_seconds(pid) - was for pid, was in zip(site.api_pids, before, strict=True)]
    return sum(spent) / answered * 1e6, [one / sum(spent) for one in spent]


def _machine() -> float:
    """Return how much more two processes on two cores compute than one on one, each by itself."""

    def seconds(cores: tuple[str, ...]) -> float:
        commands = [["taskset", "-c", core, sys.executable, "-c", _ALONE] for core in cores]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        return sum(float(one.communicate()[0]) for one in running) / len(running)

    return 2 * seconds(_CORES[:1]) / seconds(_CORES)


def _shown_at_the_other(site: Site) -> float:
    """Change a patient over one connection; return after how many ms all others show it."""
    headers = {"Authorization": f"Bearer {site.token}"}
    connections = [http.client.HTTPConnection("127.0.0.1", site.port) for _ in range(CONNECTIONS)]

    def read(connection: http.client.HTTPConnection) -> tuple[str, int]:
        connection.request("GET", path, headers=headers)
        answer = json.loads(connection.getresponse().read())
        return answer["middleName"], answer["version"]

    path = f"/api/patients/{json.loads(site.get('/api/patients?search=smith'))['patients'][0]['id']}"
    for _ in range(5):
        versions = [
            read(connection)[1] for connection in connections
        ]  # each worker has it in its local cache
    body = json.dumps({"middleName": "Shown"})
    conditional = {**headers, "If-Match": f'"{versions[0]}"', "Content-Type": "application/json"}
    connections[0].request("PATCH", path, body, conditional)
    changed = connections[0].getresponse()
    changed.read()
    assert changed.status == http.client.OK, changed.status
    answered = time.perf_counter()
    while any(read(connection)[0] != "Shown" for connection in connections):
        assert time.perf_counter() - answered < 1, "older than a second"
    return (time.perf_counter() - answered) * 1_000


if __name__ == "__main__":
    main()
