from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from cito.core.assembly import assemble
from cito.core.declarations import CacheFamily, Job, Target
from cito.core.registry import Owned, Registry, installed
from cito.core.settings import Settings
from cito.core.telemetry import Record, What
from cito.observability import catalog as c
from cito.observability.alert import Alert
from cito.observability.alerts import Engine
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics, Slice
from cito.observability.node import Node
from cito.observability.rules import Rule, Share, rules_of
from cito.observability.sinks import RETRY_SECONDS, Webhook, signature, tell_log, webhook_secret
from cito.observability.timeline import Timeline

from .conftest import Made, Waits
from .webhook_server import receiver

BOUNDS = bounds_with([50])
NOW = 1_800_000_000.0


class Key(msgspec.Struct, frozen=True):
    id: int


async def _never(*_: object) -> None:
    raise AssertionError("nothing is loaded")


REGISTRY = Registry(
    plugins=(),
    targets=(Owned("x", Target(operation="get_patient", p95_ms=50, error_rate=0.01, hit_rate=0.7)),),
    cache_families=(
        Owned(
            "x",
            CacheFamily(
                name="patient",
                version=1,
                key=Key,
                value=Key,
                load=_never,
                tags=("x:{id}",),
                ttl_seconds=1,
                hard_limit_seconds=1,
            ),
        ),
    ),
    jobs=(Owned("x", Job(name="purge", run=lambda _: None, every_seconds=60)),),  # type: ignore[arg-type]
)


class Clockwork:
    """A node of one process whose time is moved by hand, half a second at a time."""

    def __init__(self) -> None:
        self.now = NOW
        self.metrics = Metrics(BOUNDS)
        self.timeline = Timeline()
        self.engine = Engine(rules_of(REGISTRY, BOUNDS))
        self.told: list[Alert] = []
        self.metrics.cut(self.now)

    def run(self, seconds: float, each_tick: Callable[[Metrics], None] = lambda _: None) -> None:
        for _ in range(round(seconds * 2)):
            each_tick(self.metrics)
            self.now += 0.5
            self.timeline.add(self.metrics.cut(self.now))
            changed = self.engine.evaluate(self.window, self.now)
            self.told += [Alert(**{f: getattr(a, f) for f in a.__struct_fields__}) for a in changed]

    def window(self, seconds: float):  # type: ignore[no-untyped-def]
        found = self.timeline.rough(seconds, self.now)
        found.gauges = self.timeline.window(5, self.now).gauges
        return found

    @property
    def messages(self) -> list[tuple[str, str, str]]:
        return [(alert.name, alert.subject, alert.status) for alert in self.told]


@pytest.fixture
def world() -> Clockwork:
    return Clockwork()


def traffic(made: Made, *, ms: float = 5, status: int = 200, times: int = 25, cache: str = "local"):  # type: ignore[no-untyped-def]
    def tick(metrics: Metrics) -> None:
        for _ in range(times):
            record = made("get_patient", ms=ms, status=status)
            record.cache = cache
            metrics.fold(record)

    return tick


def test_healthy_traffic_alerts_nobody(world: Clockwork, made: Made) -> None:
    world.run(120, traffic(made))
    assert world.messages == []


@pytest.mark.parametrize(("fault", "name"), [({"ms": 80}, "slow_operation"), ({"status": 503}, "error_rate")])
def test_a_fault_is_told_within_a_second_and_its_end_after(
    world: Clockwork, made: Made, fault: dict[str, float], name: str
) -> None:
    world.run(60, traffic(made))
    began = world.now
    world.run(3, traffic(made, **fault))  # type: ignore[arg-type]
    assert (name, "get_patient", "firing") in world.messages
    alert = next(alert for alert in world.told if alert.name == name)
    assert alert.started_at - began <= 1.5
    world.run(15, traffic(made))
    assert (name, "get_patient", "resolved") in world.messages
    assert len(world.messages) == len(set(world.messages))  # each told once


class TwoProcesses:
    """A node of two: one judges every half second, the other one answers, and publishes `phase` seconds later."""

    def __init__(self, folder: Path, rules: Iterable[Rule], phase: float, offset: float) -> None:
        self.judging, self.serving = Node(folder, BOUNDS), Node(folder, BOUNDS)
        self.engine, self.metrics = Engine(rules), Metrics(BOUNDS)
        self.engine._since = NOW - 100  # settled; the windows of minutes are not full
        self.now, self.phase = NOW + offset, phase
        self.metrics.cut(self.now + phase - 0.5)

    def tick(self, records: Iterable[Record]) -> list[Alert]:
        for record in records:
            self.metrics.fold(record)
        self.serving.publish(self.metrics.cut(self.now + self.phase))
        self.now += 0.5
        self.judging.collect()
        return self.engine.evaluate(lambda seconds: self.judging.rough(seconds, self.now), self.now)


@pytest.mark.parametrize(("offset", "phase"), [(0.0, 0.01), (0.2, 0.25), (0.45, 0.01)])
def test_what_another_process_counts_is_judged_in_time_whenever_it_ticks(
    tmp_path: Path, made: Made, *, phase: float, offset: float
) -> None:
    registry = assemble(Settings(plugins=tuple(installed()))).registry
    shares = [rule for rule in rules_of(registry, BOUNDS) if isinstance(rule, Share)]
    node = TwoProcesses(tmp_path, shares, phase, offset)
    operations = {owned.value.operation for owned in registry.targets}
    families = [owned.value.name for owned in registry.cache_families]

    def answers(*, bad: bool) -> Iterable[Record]:
        """Each declared operation and family a hundred times a second, all good or all bad."""
        outcome = "miss" if bad else "local"
        for name in operations:
            record = made(name, ms=500 if bad else 0.5, status=503 if bad else 200)
            record.cache = outcome
            yield from [record] * 50
        yield from [made("x", events=[(What.CACHE, name, 0, 0.1, outcome) for name in families])] * 50

    for _ in range(12):
        assert node.tick(answers(bad=False)) == []
    took: dict[tuple[str, str], float] = {}
    for tick in range(10):
        for alert in node.tick(answers(bad=True)):
            took[alert.name, alert.subject] = (tick + 1) / 2
    assert took.keys() == {(rule.name, rule.subject) for rule in shares}
    assert max(took.values()) <= 2.5
    # What is bad from somewhere between two ticks on is told half a tick sooner on the average.
    assert sorted(took.values())[int(len(took) * 0.95)] <= 2.0


def test_a_single_bad_answer_is_no_alert(world: Clockwork, made: Made) -> None:
    world.run(60, traffic(made))
    world.run(0.5, traffic(made, status=500, times=1))
    world.run(60, traffic(made))
    assert world.messages == []


def test_a_slow_leak_is_seen_by_the_long_windows(world: Clockwork, made: Made) -> None:
    good, bad = traffic(made, times=95), traffic(made, status=500, times=5)

    def both(metrics: Metrics) -> None:
        good(metrics)
        bad(metrics)

    world.run(320, both)  # 5 % where 1 % is allowed: too little for the quick pair
    assert world.messages == [("error_rate", "get_patient", "firing")]


def test_a_hit_rate_below_its_target(world: Clockwork, made: Made) -> None:
    hits, misses = traffic(made, times=6), traffic(made, times=4, cache="miss")

    def both(metrics: Metrics) -> None:
        hits(metrics)
        misses(metrics)

    world.run(310, both)
    assert world.messages == [("hit_rate", "get_patient", "firing")]


@pytest.mark.parametrize(("settled", "told"), [(65, True), (30, False)])
def test_a_collapse_of_the_hit_rate_is_told_at_once_but_not_of_a_cold_cache(
    world: Clockwork, made: Made, *, settled: int, told: bool
) -> None:
    world.run(settled, traffic(made))
    began = world.now
    world.run(3, traffic(made, cache="miss"))
    assert bool(world.messages) == told
    assert all(alert.started_at - began <= 2.0 for alert in world.told)


@pytest.mark.parametrize(("hits", "told"), [(17, []), (16, [("hit_rate", "patient", "firing")])])
def test_a_family_without_a_target_hits_85_of_100(
    world: Clockwork, made: Made, hits: int, told: list[tuple[str, str, str]]
) -> None:
    def reads(metrics: Metrics) -> None:
        for number in range(20):
            outcome = "local" if number < hits else "miss"
            metrics.fold(made("background", events=[(What.CACHE, "patient", 0, 0.1, outcome)]))

    world.run(310, reads)
    assert world.messages == told


def test_a_failing_job(world: Clockwork, made: Made) -> None:
    world.run(5, lambda metrics: None)
    world.run(0.5, lambda metrics: metrics.fold(made("purge", kind="job", status=500)))
    world.run(10)
    assert world.messages == [("job_failing", "purge", "firing")]


@pytest.mark.parametrize(
    ("part", "figure", "bad", "good", "name"),
    [
        ("cache", "connected", 0, 1, "cache_unreachable"),
        ("cache", "cpu_share", 0.9, 0.2, "cache_cpu"),
        ("cache", "memory_share", 0.9, 0.2, "cache_memory"),
        ("relay", "oldest_seconds", 2.5, 0, "relay_backlog"),
    ],
)
def test_states_that_must_not_be(
    world: Clockwork, *, part: str, figure: str, bad: float, good: float, name: str
) -> None:
    world.run(10, lambda metrics: metrics.set(c.FIGURES, (part, figure), good))
    assert world.messages == []
    world.run(0.5, lambda metrics: metrics.set(c.FIGURES, (part, figure), bad))
    assert [(told[0], told[2]) for told in world.messages] == [(name, "firing")]
    world.run(20, lambda metrics: metrics.set(c.FIGURES, (part, figure), good))
    assert [(told[0], told[2]) for told in world.messages] == [(name, "firing"), (name, "resolved")]


@pytest.mark.parametrize(
    ("metric", "labels", "name"),
    [(c.EVICTIONS, (), "cache_evictions"), (c.TELEMETRY, ("otlp_traces", "dropped"), "telemetry_dropped")],
)
def test_any_count_of_what_must_not_happen(
    world: Clockwork, metric: str, labels: tuple[str, ...], name: str
) -> None:
    world.run(10, lambda metrics: metrics.count(c.TELEMETRY, ("otlp_traces", "exported"), 3))
    world.run(0.5, lambda metrics: metrics.count(metric, labels, 3))
    world.run(5)
    assert [(told[0], told[2]) for told in world.messages] == [(name, "firing")]


def test_requests_that_wait_for_a_connection(world: Clockwork) -> None:
    world.run(1, lambda metrics: metrics.set(c.POOL_COUNT, ("waiting",), 4))
    assert world.messages == [("pool_waiting", "database", "firing")]


def test_long_windows_are_looked_at_now_and_then_and_short_ones_with_every_tick() -> None:
    engine, asked = Engine(rules_of(REGISTRY, BOUNDS)), list[float]()

    def window(seconds: float) -> Slice:
        asked.append(seconds)
        return Slice()

    engine.evaluate(window, NOW)
    asked.clear()
    for tick in range(1, 21):
        engine.evaluate(window, NOW + 10_000 + tick / 2)
    assert (asked.count(5.0), asked.count(300.0), asked.count(3_600.0)) == (20, 2, 2)


def alert(status: str = "firing") -> Alert:
    return Alert("id1", "error_rate", "get_patient", "page", status, "it fails", "20%", "1%", NOW, NOW)  # type: ignore[arg-type]


def test_the_log_is_told_of_an_alert_and_of_its_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        tell_log(alert())
        tell_log(alert("resolved"))
    firing, resolved = caplog.records
    assert (firing.levelname, firing.getMessage()) == ("WARNING", "alert firing: it fails")
    assert (resolved.levelname, resolved.getMessage()) == ("INFO", "alert resolved: it fails")
    assert vars(firing).items() >= {"alert": "error_rate", "subject": "get_patient", "value": "20%"}.items()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_webhooks_are_signed_retried_and_told_once() -> None:
    with receiver() as got:
        got.refusals = [503, 503]
        hook = Webhook(got.url, b"shared")
        hook.start()
        hook.tell(alert())
        hook.tell(alert())  # the same again
        hook.tell(alert("resolved"))
        until(lambda: len(got.taken) == 2)
        hook.stop()
    assert [one.alert["status"] for one in got.taken] == ["firing", "resolved"]
    assert len({one.headers["x-cito-delivery"] for one in got.tries[:3]}) == 1  # a receiver may dedupe by it
    for one in got.tries:
        at, given = (part.partition("=")[2] for part in one.headers["x-cito-signature"].split(","))
        assert given == hmac.new(b"shared", f"{at}.".encode() + one.body, hashlib.sha256).hexdigest()
        assert abs(int(at) - one.at) < 5


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("", [*RETRY_SECONDS[:3], *RETRY_SECONDS[:2]]),  # what was taken begins anew
        ("7", [7.0] * 5),
        ("3600", [30.0] * 5),
    ],
)
def test_a_webhook_waits_longer_each_time_and_as_long_as_the_receiver_says(
    retry_after: str, waits: list[float]
) -> None:
    with receiver() as got:
        got.refusals, got.retry_after = [503, 503, 503, 204, 503, 503], retry_after
        hook = Webhook(got.url, b"shared")
        hook._wake = timer = Waits()
        hook.tell(alert())
        hook.tell(alert("resolved"))
        hook.start()
        until(lambda: len(got.taken) == 2)
        hook.stop()
    assert timer.asked == waits


def test_what_a_receiver_refuses_for_good_is_counted_and_holds_up_nothing() -> None:
    with receiver() as got:
        got.refusals = [410]
        hook = Webhook(got.url, b"shared")
        hook.start()
        hook.tell(alert())
        hook.tell(alert("resolved"))
        until(lambda: len(got.taken) == 1)
        hook.stop()
    assert (len(got.tries), hook.dropped) == (2, 1)


def test_a_dead_receiver_delays_nobody() -> None:
    hook = Webhook("http://127.0.0.1:9/", b"shared")
    hook.start()
    started = time.perf_counter()
    hook.tell(alert())
    assert time.perf_counter() - started < 0.1
    hook.stop(0.5)


def test_a_signature_depends_on_secret_body_and_time() -> None:
    known = signature(b"s", b"{}", 1)
    assert known not in (signature(b"t", b"{}", 1), signature(b"s", b"[]", 1), signature(b"s", b"{}", 2))


def test_the_webhooks_secret_is_made_once_and_private(tmp_path: Path) -> None:
    first = webhook_secret(None, tmp_path)
    assert len(first) == 64
    assert webhook_secret(None, tmp_path) == first
    assert (tmp_path / "keys" / "webhook").stat().st_mode & 0o077 == 0
    assert webhook_secret("given", tmp_path) == b"given"
