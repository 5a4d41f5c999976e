"""CloudWatch alarms as a CloudFormation template: targets, hit rates, jobs, and what must never happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from cito.core.declarations import Target
from cito.core.refusals import route_operations
from cito.core.registry import Registry
from cito.observability import catalog as c
from cito.observability.exporters.cloudwatch_sums import (
    CACHE_MISSES,
    CACHE_READS,
    ERRORS,
    JOB_ERRORS,
    REQUEST_MISSES,
    REQUEST_READS,
)
from cito.observability.rules import DEFAULT_HIT_RATE

_LEAST_READS = 40  # a minute, below which a share says nothing


def template(registry: Registry) -> str:
    """Return the template; its parameters are the namespace and the topic that alarms are sent to."""
    resources = dict(_states())
    routes = {handler.operation_id for _, _, _, handler in route_operations(registry)}
    for owned in registry.targets:
        if owned.value.operation not in routes:
            continue  # a query's: CloudWatch gets its durations, its alarm would repeat the route's
        resources |= _target(owned.value)
    families = [family.value.name for family in registry.cache_families]
    jobs = [job.value.name for job in registry.jobs]
    resources |= {f"Family{_named(name)}HitRate": _family(name) for name in families}
    resources |= {f"Job{_named(name)}Failing": _job(name) for name in jobs}
    made = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms of Cito, made by `cito dashboards build` from the enabled plugins' targets.",
        "Parameters": {
            "Namespace": {"Type": "String", "Default": "Cito", "Description": "observability.namespace"},
            "Topic": {"Type": "String", "Description": "ARN of the SNS topic that alarms are sent to"},
        },
        "Resources": resources,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _target(target: Target) -> dict[str, Any]:
    operation = [{"Name": "Operation", "Value": target.operation}]
    name = _named(target.operation)
    slow = {
        "MetricName": c.REQUESTS,
        "Dimensions": operation,
        "ExtendedStatistic": "p95",
        "Threshold": target.p95_ms,
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
    }
    failing = {
        "Metrics": [
            _part("failed", ERRORS, operation, "Sum"),
            _part("answers", c.REQUESTS, operation, "SampleCount"),
            {"Id": "share", "Expression": "failed / answers", "Label": "error rate", "ReturnData": True},
        ],
        "Threshold": target.error_rate,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
    }
    alarms = {
        f"{name}Slow": _alarm(f"{target.operation} is slower than its p95 of {target.p95_ms:g} ms", slow),
        f"{name}Failing": _alarm(
            f"{target.operation} fails more often than {target.error_rate:.2%}", failing
        ),
    }
    if target.hit_rate is not None:
        text = f"{target.operation} is answered from the cache less often than {target.hit_rate:.0%}"
        alarms[f"{name}HitRate"] = _hit_rate(text, REQUEST_MISSES, REQUEST_READS, operation, target.hit_rate)
    return alarms


def _family(family: str) -> dict[str, Any]:
    dimensions = [{"Name": "cito.cache.family", "Value": family}]
    text = f"cache family {family} hits less than {DEFAULT_HIT_RATE:.0%}"
    return _hit_rate(text, CACHE_MISSES, CACHE_READS, dimensions, DEFAULT_HIT_RATE)


def _hit_rate(
    text: str, misses: str, reads: str, dimensions: list[dict[str, str]], rate: float
) -> dict[str, Any]:
    share = {
        "Metrics": [
            _part("misses", misses, dimensions, "Sum"),
            _part("reads", reads, dimensions, "Sum"),
            {
                "Id": "share",
                "Expression": f"IF(reads > {_LEAST_READS}, FILL(misses, 0) / reads, 0)",
                "Label": "miss rate",
                "ReturnData": True,
            },
        ],
        "Threshold": round(1 - rate, 4),
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 5,
    }
    return _alarm(text, share)


def _job(job: str) -> dict[str, Any]:
    failed = {
        "MetricName": JOB_ERRORS,
        "Dimensions": [{"Name": "cito.job", "Value": job}],
        "Statistic": "Sum",
        "Threshold": 0,
        "Period": 60,
        "EvaluationPeriods": 1,
    }
    return _alarm(f"job {job} failed", failed)


def _named(name: str) -> str:
    """Return a name as resources are called: letters and digits."""
    return "".join(part.title() for part in name.replace("-", "_").split("_"))


def _states() -> Iterator[tuple[str, dict[str, Any]]]:
    def figure(part: str, name: str) -> list[dict[str, str]]:
        return [{"Name": "cito.part", "Value": part}, {"Name": "cito.figure", "Value": name}]

    waiting = [{"Name": "db.client.connection.state", "Value": "waiting"}]
    dropped = [
        {"Name": "cito.exporter", "Value": "otlp_traces"},
        {"Name": "cito.outcome", "Value": "dropped"},
    ]
    above = "GreaterThanThreshold"
    for name, text, metric, dimensions, statistic, comparison, threshold in (
        (
            "CacheUnreachable",
            "the cache server does not answer",
            c.FIGURES,
            figure("cache", "connected"),
            "Minimum",
            "LessThanThreshold",
            1,
        ),
        (
            "CacheCpu",
            "the cache server's CPU is nearly used up",
            c.FIGURES,
            figure("cache", "cpu_share"),
            "Maximum",
            above,
            0.8,
        ),
        (
            "CacheMemory",
            "the cache server's memory is nearly full",
            c.FIGURES,
            figure("cache", "memory_share"),
            "Maximum",
            above,
            0.85,
        ),
        ("CacheEvictions", "the cache server evicts entries", c.EVICTIONS, [], "Sum", above, 0),
        ("PoolWaiting", "requests wait for a connection", c.POOL_COUNT, waiting, "Maximum", above, 0),
        (
            "RelayBacklog",
            "invalidations wait for the relay",
            c.FIGURES,
            figure("relay", "oldest_seconds"),
            "Maximum",
            above,
            1,
        ),
        ("TelemetryDropped", "telemetry was dropped", c.TELEMETRY, dropped, "Sum", above, 0),
    ):
        metric_alarm = {
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": statistic,
            "Threshold": threshold,
            "Period": 60,
            "EvaluationPeriods": 1,
        }
        yield name, _alarm(text, metric_alarm, comparison)


def _part(name: str, metric: str, dimensions: list[dict[str, str]], statistic: str) -> dict[str, Any]:
    named = {"Namespace": {"Ref": "Namespace"}, "MetricName": metric, "Dimensions": dimensions}
    return {
        "Id": name,
        "MetricStat": {"Metric": named, "Period": 60, "Stat": statistic},
        "ReturnData": False,
    }


def _alarm(text: str, properties: dict[str, Any], comparison: str = "GreaterThanThreshold") -> dict[str, Any]:
    namespace = {} if "Metrics" in properties else {"Namespace": {"Ref": "Namespace"}}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": text,
            "AlarmActions": [{"Ref": "Topic"}],
            "OKActions": [{"Ref": "Topic"}],
            "ComparisonOperator": comparison,
            "TreatMissingData": "notBreaching",
            **namespace,
            **properties,
        },
    }
