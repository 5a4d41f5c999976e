"""Prometheus rules: the same budgets and states as `observability/rules.py`, in PromQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

from cito.core.declarations import Target
from cito.core.refusals import route_operations
from cito.core.registry import Registry
from cito.observability import catalog as c
from cito.observability.catalog import CATALOG
from cito.observability.rules import ANSWERED_FROM_CACHE, DEFAULT_HIT_RATE, PACES, SLOW_BUDGET, Pace

_BUCKET = f"{CATALOG[c.REQUESTS].prometheus}_bucket"
_COUNT = f"{CATALOG[c.REQUESTS].prometheus}_count"
_CACHE = f"{CATALOG[c.CACHE].prometheus}_count"
_FIGURE = CATALOG[c.FIGURES].prometheus
_HIT = 'cito_cache_outcome=~"hit|stale-hit|negative"'
# A window shorter than some scrapes says nothing.
_LONG_ENOUGH = tuple(pace for pace in PACES if pace.short_seconds >= 60)  # noqa: PLR2004 - four scrapes of 15 s


def rules_file(registry: Registry) -> str:
    """Return the text of a rules file for `rule_files:` of prometheus.yml."""
    routes = {handler.operation_id for _, _, _, handler in route_operations(registry)}
    targets = [owned.value for owned in registry.targets]
    operations = [rule for target in targets if target.operation in routes for rule in _operation(target)]
    operations += [_query(target) for target in targets if target.operation not in routes]
    families = [_family(owned.value.name) for owned in registry.cache_families]
    jobs = [_job(owned.value.name) for owned in registry.jobs]
    groups = [
        {"name": name, "rules": rules}
        for name, rules in (
            ("cito-operations", operations),
            ("cito-cache", families),
            ("cito-jobs", jobs),
            ("cito-states", list(_states())),
        )
        if rules
    ]
    head = "# Made by `cito dashboards build` from the declarations of the enabled plugins.\n"
    return head + str(yaml.safe_dump({"groups": groups}, sort_keys=False, width=110))


def _operation(target: Target) -> Iterator[dict[str, Any]]:
    mine = f'cito_operation="{target.operation}"'
    limit = _seconds(target.p95_ms)

    def slow(window: str) -> str:
        within = f'sum(rate({_BUCKET}{{{mine},le="{limit}"}}[{window}]))'
        return f"(1 - {within} / sum(rate({_COUNT}{{{mine}}}[{window}])))"

    def failed(window: str) -> str:
        bad = f'sum(rate({_COUNT}{{{mine},http_response_status_code=~"5.."}}[{window}]))'
        return f"({bad} / sum(rate({_COUNT}{{{mine}}}[{window}])))"

    for pace in _LONG_ENOUGH:
        yield _rule(
            "CitoSlowOperation",
            _both(slow, SLOW_BUDGET, pace),
            pace.severity,
            f"{target.operation} is slower than its target of {target.p95_ms:g} ms (p95)",
            operation=target.operation,
        )
        yield _rule(
            "CitoErrorRate",
            _both(failed, target.error_rate, pace),
            pace.severity,
            f"{target.operation} fails more often than {target.error_rate:.2%} of its answers",
            operation=target.operation,
        )
    if target.hit_rate is not None:

        def missed(window: str) -> str:
            asked = f'{_COUNT}{{{mine},cito_cache_outcome!=""}}'
            found = f'{_COUNT}{{{mine},cito_cache_outcome=~"{"|".join(sorted(ANSWERED_FROM_CACHE))}"}}'
            return f"(1 - (sum(rate({found}[{window}])) or vector(0)) / sum(rate({asked}[{window}])))"

        yield _rule(
            "CitoHitRate",
            f"{missed('5m')} > {1 - target.hit_rate:g} and {missed('1m')} > {1 - target.hit_rate:g}",
            "ticket",
            f"{target.operation} is answered from the cache less often than {target.hit_rate:.0%}",
            operation=target.operation,
        )


def _query(target: Target) -> dict[str, Any]:
    name = CATALOG[c.QUERIES].prometheus
    mine = f'db_operation_name="{target.operation}"'
    within = f'sum(rate({name}_bucket{{{mine},le="{_seconds(target.p95_ms)}"}}[5m]))'
    return _rule(
        "CitoSlowQuery",
        f"1 - {within} / sum(rate({name}_count{{{mine}}}[5m])) > {SLOW_BUDGET:g}",
        "ticket",
        f"query {target.operation} is slower than its target of {target.p95_ms:g} ms (p95)",
        query=target.operation,
    )


def _seconds(ms: float) -> str:
    """Return a bound as the exposition writes it."""
    return repr(round(ms * 1_000_000) / 1_000_000_000)


def _both(share: Callable[[str], str], budget: float, pace: Pace) -> str:
    allowed = f"{min(budget * pace.times, 0.9):g}"
    windows = (f"{pace.long_seconds:.0f}s", f"{pace.short_seconds:.0f}s")
    return " and ".join(f"{share(window)} > {allowed}" for window in windows)


def _family(family: str) -> dict[str, Any]:
    mine = f'cito_cache_family="{family}"'

    def hits(window: str) -> str:
        found = f"sum(rate({_CACHE}{{{mine},{_HIT}}}[{window}])) or vector(0)"
        return f"(({found}) / sum(rate({_CACHE}{{{mine}}}[{window}])))"

    return _rule(
        "CitoHitRate",
        f"{hits('5m')} < {DEFAULT_HIT_RATE} and {hits('1m')} < {DEFAULT_HIT_RATE}"
        f" and sum(increase({_CACHE}{{{mine}}}[5m])) > 200",
        "ticket",
        f"cache family {family} hits less than {DEFAULT_HIT_RATE:.0%}",
        family=family,
    )


def _job(job: str) -> dict[str, Any]:
    metric = f"{CATALOG[c.JOBS].prometheus}_count"
    return _rule(
        "CitoJobFailing",
        f'sum(increase({metric}{{cito_job="{job}",cito_outcome!="ok"}}[1h])) > 0',
        "ticket",
        f"job {job} failed",
        job=job,
    )


def _states() -> Iterable[dict[str, Any]]:
    def figure(part: str, name: str) -> str:
        return f'{_FIGURE}{{cito_part="{part}",cito_figure="{name}"}}'

    pool = CATALOG[c.POOL_COUNT].prometheus
    telemetry = f"{CATALOG[c.TELEMETRY].prometheus}_total"
    evicted = f"{CATALOG[c.EVICTIONS].prometheus}_total"
    yield _rule(
        "CitoCacheUnreachable",
        f"min({figure('cache', 'connected')}) == 0",
        "page",
        "the cache server does not answer",
    )
    yield _rule(
        "CitoCacheCpu",
        f"max({figure('cache', 'cpu_share')}) > 0.8",
        "ticket",
        "the cache server's CPU is nearly used up",
        hold="1m",
    )
    yield _rule(
        "CitoCacheMemory",
        f"max({figure('cache', 'memory_share')}) > 0.85",
        "ticket",
        "the cache server's memory is nearly full",
        hold="1m",
    )
    yield _rule(
        "CitoCacheEvictions",
        f"sum(increase({evicted}[5m])) > 0",
        "ticket",
        "the cache server evicts entries for lack of memory",
    )
    yield _rule(
        "CitoPoolWaiting",
        f'sum({pool}{{db_client_connection_state="waiting"}}) > 0',
        "page",
        "requests wait for a database connection",
        hold="30s",
    )
    yield _rule(
        "CitoRelayBacklog",
        f"max({figure('relay', 'oldest_seconds')}) > 1",
        "page",
        "invalidations wait longer than a second for the relay",
    )
    yield _rule(
        "CitoTelemetryDropped",
        f'sum(increase({telemetry}{{cito_outcome="dropped"}}[5m])) > 0',
        "ticket",
        "telemetry was dropped because an exporter is away",
    )


def _rule(
    name: str, expression: str, severity: str, summary: str, *, hold: str | None = None, **labels: str
) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": name, "expr": expression}
    if hold:
        rule["for"] = hold
    return {**rule, "labels": {"severity": severity, **labels}, "annotations": {"summary": summary}}
