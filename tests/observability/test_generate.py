from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support import OpenSite

from cito.core.assembly import assemble
from cito.core.declarations import Target
from cito.core.http.tokens import mint
from cito.core.refusals import route_operations
from cito.core.registry import Owned, Registry, installed
from cito.core.settings import ObservabilitySettings, Settings
from cito.observability import catalog as c
from cito.observability.generate.cloudformation import template
from cito.observability.generate.prometheus import rules_file
from cito.observability.rules import rules_of

from .otlp_server import collector
from .served import serving

PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="Debian's prometheus is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    program = [str(Path(sys.executable).with_name("cito")), "dashboards", "build", "--out", str(folder)]
    subprocess.run(program, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def registry() -> Registry:
    return assemble(Settings(plugins=tuple(installed()))).registry


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


@needs_promtool
def test_promtool_accepts_the_rules(built: Path) -> None:
    checked = promtool("check", "rules", str(built / "prometheus-rules.yml"))
    assert checked.returncode == 0, checked.stderr


def test_every_declared_target_has_its_rules(registry: Registry) -> None:
    rules = yaml.safe_load(rules_file(registry))
    labels = [rule["labels"] for group in rules["groups"] for rule in group["rules"]]
    named = {label.get("operation") or label.get("query") for label in labels}
    assert {owned.value.operation for owned in registry.targets} <= named
    assert {owned.value.name for owned in registry.cache_families} <= {
        label.get("family") for label in labels
    }


# Rule -> its name in Prometheus, and how its alarm's resource ends.
ELSEWHERE = {
    "slow_operation": ("CitoSlowOperation", "Slow"),
    "error_rate": ("CitoErrorRate", "Failing"),
    "hit_rate": ("CitoHitRate", "HitRate"),
    "job_failing": ("CitoJobFailing", "Failing"),
    "cache_unreachable": ("CitoCacheUnreachable", "CacheUnreachable"),
    "cache_cpu": ("CitoCacheCpu", "CacheCpu"),
    "cache_memory": ("CitoCacheMemory", "CacheMemory"),
    "cache_evictions": ("CitoCacheEvictions", "CacheEvictions"),
    "pool_waiting": ("CitoPoolWaiting", "PoolWaiting"),
    "relay_backlog": ("CitoRelayBacklog", "RelayBacklog"),
    "telemetry_dropped": ("CitoTelemetryDropped", "TelemetryDropped"),
}


def test_every_rule_has_its_twin_in_prometheus_and_in_cloudwatch(registry: Registry) -> None:
    groups = yaml.safe_load(rules_file(registry))["groups"]
    in_prometheus = {
        (rule["alert"], rule["labels"].get(label, ""))
        for group in groups
        for rule in group["rules"]
        for label in ("operation", "family", "job", "none")
    }
    in_cloudwatch = json.loads(template(registry))["Resources"].keys()
    routes = {handler.operation_id for _, _, _, handler in route_operations(registry)}
    of_queries = {
        owned.value.operation for owned in registry.targets
    } - routes  # in Prometheus: CitoSlowQuery
    families = {owned.value.name for owned in registry.cache_families}
    ours = [rule for rule in rules_of(registry, ()) if rule.subject not in of_queries]
    assert {rule.name for rule in ours} == ELSEWHERE.keys()
    for rule in ours:
        name, ending = ELSEWHERE[rule.name]
        own = rule.name in {"slow_operation", "error_rate", "hit_rate", "job_failing"}
        assert (name, rule.subject if own else "") in in_prometheus
        kind = "Family" if rule.name == "hit_rate" and rule.subject in families else ""
        kind = "Job" if rule.name == "job_failing" else kind
        subject = kind + rule.subject.title().replace("_", "") if own else ""
        assert subject + ending in in_cloudwatch


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


@needs_promtool
def test_the_rules_fire_on_a_fault_and_are_silent_without(tmp_path: Path) -> None:
    target = Owned("x", Target(operation="get_patient", p95_ms=50, error_rate=0.01))
    rules = tmp_path / "rules.yml"
    text = rules_file(Registry(plugins=(), targets=(target,)))
    # Without routes the target is a query's; judge it as the route's that it is in a running Cito.
    rules.write_text(text)
    assert "CitoSlowQuery" in text
    name = 'db_client_operation_duration_seconds_{}{{db_operation_name="get_patient"{},worker="0"}}'
    figure = 'cito_part_figure{cito_part="cache",cito_figure="connected",worker="0"}'
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    series(name.format("count", ""), "0+150x40 6000+150x40"),
                    series(name.format("bucket", ',le="0.05"'), "0+150x40 6000+15x40"),
                    series(figure, "1x40 0x40"),
                ],
                "alert_rule_test": [
                    {"eval_time": "9m", "alertname": "CitoSlowQuery"},
                    {"eval_time": "9m", "alertname": "CitoCacheUnreachable"},
                    {
                        "eval_time": "19m",
                        "alertname": "CitoSlowQuery",
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": "ticket", "query": "get_patient"},
                                "exp_annotations": {
                                    "summary": "query get_patient is slower than its target of 50 ms (p95)"
                                },
                            }
                        ],
                    },
                    {
                        "eval_time": "19m",
                        "alertname": "CitoCacheUnreachable",
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": "page"},
                                "exp_annotations": {"summary": "the cache server does not answer"},
                            }
                        ],
                    },
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    run = promtool("test", "rules", str(file))
    assert run.returncode == 0, run.stdout + run.stderr


@needs_promtool
def test_every_panel_is_a_query_that_prometheus_understands(built: Path, tmp_path: Path) -> None:
    panels = json.loads((built / "grafana-dashboard.json").read_text())["panels"]
    graphs = [panel for panel in panels if panel["type"] == "timeseries"]
    assert len(graphs) >= 13
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    rules = [
        {
            "record": f"panel:{panel['id']}",
            "expr": panel["targets"][0]["expr"].replace("$__rate_interval", "1m"),
        }
        for panel in graphs
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stderr


def one_of_each(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template with one alarm of each metric: the others differ in names and numbers only."""
    by_metric = {
        str(r["Properties"].get("MetricName") or r["Properties"].get("Metrics")): (name, r)
        for name, r in template["Resources"].items()
        if r["Type"] == "AWS::CloudWatch::Alarm"
    }
    others = {n: r for n, r in template["Resources"].items() if r["Type"] != "AWS::CloudWatch::Alarm"}
    return {**template, "Resources": others | dict(by_metric.values())}


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.full)])
def test_cfn_lint_accepts_the_alarms(built: Path, tmp_path: Path, every: bool) -> None:
    template = json.loads((built / "cloudwatch-alarms.json").read_text())
    chosen = template if every else one_of_each(template)
    assert len(chosen["Resources"]) >= 8
    file = tmp_path / "alarms.json"
    file.write_text(json.dumps(chosen))
    program = [str(Path(sys.executable).with_name("cfn-lint")), str(file)]
    checked = subprocess.run(program, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_metric_has_its_place_in_the_catalogue() -> None:
    names = {value for name, value in vars(c).items() if name.isupper() and isinstance(value, str)}
    assert names == c.CATALOG.keys()


@asynccontextmanager
async def prometheus(folder: Path, target: str, token: str, rules: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Debian's Prometheus, scraping each second, with the generated rules."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "token").write_text(token)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "cito",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [target.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    assert PROMETHEUS is not None
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
            yield client
    finally:
        process.terminate()
        await process.wait()


async def asked(client: httpx.AsyncClient, path: str, **parameters: str) -> list[Any]:
    """Return what Prometheus has; nothing while it starts."""
    try:
        answer = await client.get(path, params=parameters)
    except httpx.HTTPError:
        return []
    data = answer.json().get("data") if answer.is_success else []  # 503 while it reads its log
    return (data.get("result") or data.get("alerts") or []) if isinstance(data, dict) else data or []


@pytest.mark.skipif(PROMETHEUS is None, reason="Debian's prometheus is not installed")
async def test_prometheus_scrapes_and_its_rules_fire(
    open_site: OpenSite, tmp_path: Path, built: Path
) -> None:
    rules = built / "prometheus-rules.yml"
    with collector() as refusing:  # spans that are refused for good are dropped: there is a rule for it
        refusing.mode = "refuse"
        watched = ObservabilitySettings(otlp_url=refusing.url(""))
        async with open_site(plugins=(), observability=watched) as site, serving(site) as base:
            token = mint(site.assembly.settings, "admin", None)
            sampled = site.headers("admin", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
            async with (
                httpx.AsyncClient(base_url=base) as caller,
                prometheus(tmp_path, base, token, rules) as client,
            ):

                async def seen() -> tuple[bool, bool, bool]:
                    await caller.get("/api/admin/performance", headers=sampled)
                    query = 'http_server_request_duration_seconds_count{cito_operation="performance"} > 4'
                    counted = await asked(client, "/query", query=query)
                    exemplars = await asked(
                        client,
                        "/query_exemplars",
                        query="http_server_request_duration_seconds_bucket",
                        start="0",
                        end="9999999999",
                    )
                    traces = {
                        one["labels"]["trace_id"] for series in exemplars for one in series["exemplars"]
                    }
                    alerts = {alert["labels"]["alertname"] for alert in await asked(client, "/alerts")}
                    return bool(counted), "a" * 32 in traces, "CitoTelemetryDropped" in alerts

                async with asyncio.timeout(40):
                    while not all(await seen()):  # noqa: ASYNC110 - it happens in another process
                        await asyncio.sleep(0.2)


def test_the_documented_metrics_are_those_of_the_catalogue() -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    table = text.partition("<!-- metrics")[2].partition("<!-- end -->")[0]
    rows = [
        f"| `{i.name}` | {i.kind} | {i.unit} | {', '.join(i.labels)} | {i.help} |" for i in c.CATALOG.values()
    ]
    assert [line for line in table.splitlines() if line.startswith("| `")] == rows
