"""What a report of a slow or repeated query says: its cause, its usual time, once for each query."""

from __future__ import annotations

import time

import pytest
from support import OpenSite

from cito.core.declarations import Index
from cito.core.embedded import Urls
from cito.core.telemetry import Event, What
from cito.observability import catalog as c
from cito.observability import plugin
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics, Slice
from cito.observability.notes import Note
from cito.observability.recorder import Recorder
from cito.observability.slow_queries import PLAN_SECONDS, Blocked, Plan, SlowQueries, generic_plan

from .conftest import Made, make

BOUNDS = bounds_with([])
NOW = 1_800_000_000.0
STATEMENT = "select name from people where clinic_id = $1"
PETS = "select name from pets"
INDEX = Index(name="people_clinic", table="people", serves=("find_people",), because="it is read by clinic")
SCAN = Plan(("Seq Scan on people",), ("people",), ())


def slow_queries() -> SlowQueries:
    return SlowQueries({"find_people": STATEMENT, "find_pets": PETS}, {"find_people": 5.0}, [INDEX])


def note(*, ms: float = 300, wait_ms: float = 0, times: int = 1, at: float = NOW) -> Note:
    kind = "n_plus_one" if times > 1 else "slow_query"
    return Note(kind=kind, at=at, operation="list", name="find_people", ms=ms, wait_ms=wait_ms, times=times)


@pytest.mark.parametrize(
    ("noted", "plan", "waited_ms", "cause"),
    [
        (note(times=12), SCAN, 200, "N+1: 12 runs"),
        (note(), SCAN, 200, "lock: "),
        (note(wait_ms=400), SCAN, 0, "pool: "),
        (note(), SCAN, 0, "sequential scan of people: its index people_clinic is not used"),
        (note(), Plan((), ("people",), ("people_clinic",)), 0, "sequential scan of people: no index fits"),
        (note(), Plan(("Index Scan",), (), ("people_clinic",)), 0, "no sign of a lock"),
    ],
)
def test_the_likeliest_cause_is_named(noted: Note, plan: Plan, waited_ms: float, cause: str) -> None:
    slow = slow_queries()
    slow.plans["find_people"] = plan
    slow.saw_blocked([Blocked(STATEMENT, waited_ms)] if waited_ms else [], NOW)
    slow.saw_blocked([Blocked(PETS, 250)], NOW)  # that is another query's matter
    report = slow.report([noted], 4.0)
    assert report.cause.startswith(cause)
    assert (report.lock_wait_ms, report.statement, report.plan) == (waited_ms, STATEMENT, plan.lines)


def test_a_query_that_a_request_repeats_beyond_its_budget_is_one_finding(made: Made) -> None:
    metrics = Metrics(BOUNDS)
    recorder = Recorder(
        metrics, slow_ns={}, default_slow_ns=1 << 60, slow_query_ns=1 << 60, budgets={"list": 2, "page": 8}
    )
    for operation in ("list", "page"):
        record = made(operation)
        record.events += [Event(What.QUERY, "find_people", 0, 1_000_000, "", 1)] * 6
        record.runs["find_people"] = 6
        record.sites["find_people"] = "plugin/service.py:10 rows"
        recorder.take(record)
    counted = metrics.cut(NOW)
    assert counted.counters[c.REPEATS] == {("list", "find_people"): 1}
    slow = slow_queries()
    slow.plans["find_people"] = SCAN
    (finding,) = slow.findings(counted.notes, lambda _: counted, BOUNDS, counted.notes[0].at)
    assert (finding.name, finding.subject, finding.value) == (
        "n_plus_one",
        "find_people",
        "6 times in one request",
    )
    assert finding.details["callSite"] == "plugin/service.py:10 rows"


def test_many_slow_runs_of_a_query_are_one_finding_for_five_minutes_and_its_usual_time_is_kept_for_one() -> (
    None
):
    slow = slow_queries()
    slow.plans["find_people"] = SCAN
    asked: list[float] = []
    metrics = Metrics(BOUNDS)
    metrics.time(c.QUERIES, ("find_people", ""), 4_000_000)
    usual = metrics.cut(NOW)

    def window(seconds: float) -> Slice:
        asked.append(seconds)
        return usual

    notes = [note(ms=ms) for ms in (200, 350, 250)]
    for tick in range(100):
        (finding,) = slow.findings(notes, window, BOUNDS, NOW + tick / 2)
        assert finding.details["occurrences"] == 3
        assert finding.details["durationMs"] == 350
        assert finding.details["usualP95Ms"] == pytest.approx(4, rel=0.1)
    assert len(asked) == 1
    slow.findings(notes, window, BOUNDS, NOW + 61)
    assert len(asked) == 2
    assert slow.findings(notes, window, BOUNDS, NOW + 301) == []


def test_a_report_waits_for_its_plan_but_not_for_ever() -> None:
    slow, nothing = slow_queries(), Slice()
    at = [NOW, NOW + PLAN_SECONDS - 0.1, NOW + PLAN_SECONDS]
    assert [len(slow.findings([note()], lambda _: nothing, BOUNDS, now)) for now in at] == [0, 0, 1]
    assert slow.wanted_plans([note()], NOW) == ["find_people"]
    slow.plans["find_people"] = SCAN
    (finding,) = slow.findings([note()], lambda _: nothing, BOUNDS, NOW)
    assert finding.details["plan"] == SCAN.lines


@pytest.mark.parametrize(
    ("statement", "scanned"),
    [("select prosrc from pg_proc", ("pg_proc",)), ("select amtype from pg_am", ())],
)
async def test_only_a_scan_of_a_large_table_is_a_cause(
    urls: Urls, statement: str, scanned: tuple[str, ...]
) -> None:
    plan = await generic_plan(urls.app, statement)
    assert plan.lines[0].startswith("Seq Scan")
    assert plan.scanned == scanned


async def test_a_plan_that_was_refused_is_not_asked_for_again(open_site: OpenSite) -> None:
    async with open_site(plugins=()):
        leader = plugin.watch.leader
        leader._statements["gone"] = "select name from nowhere"
        record = make("list", ms=900, events=[(What.QUERY, "gone", 0, 900)])
        record.runs["gone"] = 1
        plugin.watch.recorder.take(record)
        plugin.watch.tick()
        assert leader.slow.wanted_plans(leader._node.notes(), time.time()) == ["gone"]
        await leader._learn_plans(time.time())
        assert leader.slow.wanted_plans(leader._node.notes(), time.time()) == []
