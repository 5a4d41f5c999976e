"""CloudWatch alarms as a CloudFormation template: p95 and error rate of each target, and what must never happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from cito.core.declarations import Target
from cito.core.refusals import route_operations
from cito.core.registry import Registry
from cito.observability import catalog as c
from cito.observability.exporters.cloudwatch import ERRORS


def template(registry: Registry) -> str:
    """Return the template; its parameters are the namespace and the topic that alarms are sent to."""
    resources = dict(_states())
    routes = {handler.operation_id for _, _, _, handler in route_operations(registry)}
    for owned in registry.targets:
        if owned.value.operation not in routes:
            continue  # a query's: CloudWatch gets its durations, its alarm would repeat the route's
        resources |= _target(owned.value)
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
    name = "".join(part.title() for part in target.operation.split("_"))
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
    return {
        f"{name}Slow": _alarm(f"{target.operation} is slower than its p95 of {target.p95_ms:g} ms", slow),
        f"{name}Failing": _alarm(
            f"{target.operation} fails more often than {target.error_rate:.2%}", failing
        ),
    }


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
