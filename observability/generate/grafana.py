"""A Grafana dashboard over Prometheus: the declared panels row by row, then each target beside what is measured."""

from __future__ import annotations

from typing import Any

import msgspec

from cito.core.declarations import Panel, Target
from cito.core.registry import Registry
from cito.observability import catalog as c
from cito.observability.catalog import CATALOG

_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_UNITS = {"s": "s", "ms": "ms", "By": "bytes", "1": "percentunit"}
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard(registry: Registry) -> str:
    """Return the JSON to import into Grafana; the data source is chosen there."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for owned in registry.panels:
        rows.setdefault(owned.value.row, []).append(_panel(owned.value))
    for promised in registry.targets:
        rows.setdefault(f"Targets of {promised.plugin}", []).append(_target(promised.value))
    made = {
        "title": "Cito",
        "uid": "cito",
        "tags": ["cito"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
            ]
        },
        "annotations": {"list": []},
        "panels": _placed(rows),
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def query(panel: Panel) -> str:
    """Return the PromQL of a panel."""
    instrument = CATALOG[panel.metric]
    name = instrument.prometheus
    labels = [label.replace(".", "_") for label in panel.by]
    by = f" by ({', '.join(labels)})" if labels else ""
    match panel.statistic:
        case "rate":
            counted = f"{name}_count" if instrument.kind == "histogram" else f"{name}_total"
            return f"sum{by} (rate({counted}[$__rate_interval]))"
        case "avg":
            total, count = (f"sum{by} (rate({name}_{part}[$__rate_interval]))" for part in ("sum", "count"))
            return f"{total} / {count}"
        case "max":
            return f"max{by} ({name})"
        case "last":
            return f"sum{by} ({name})"
        case share:
            within = f"sum by ({', '.join(['le', *labels])}) (rate({name}_bucket[$__rate_interval]))"
            return f"histogram_quantile({_SHARES[share]}, {within})"


def _panel(panel: Panel) -> dict[str, Any]:
    legend = " ".join(f"{{{{{label.replace('.', '_')}}}}}" for label in panel.by) or panel.title
    return _graph(panel.title, query(panel), legend, _UNITS.get(panel.unit, "short"))


def _target(target: Target) -> dict[str, Any]:
    name = CATALOG[c.REQUESTS].prometheus
    within = f'sum by (le) (rate({name}_bucket{{cito_operation="{target.operation}"}}[$__rate_interval]))'
    graph = _graph(
        f"{target.operation}: p95, promised {target.p95_ms:g} ms",
        f"histogram_quantile(0.95, {within})",
        "p95",
        "s",
    )
    graph["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] = {"mode": "line"}
    graph["fieldConfig"]["defaults"]["thresholds"] = {
        "mode": "absolute",
        "steps": [{"color": "green", "value": None}, {"color": "red", "value": target.p95_ms / 1e3}],
    }
    return graph


def _graph(title: str, expression: str, legend: str, unit: str) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "exemplar": True,
            }
        ],
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 2, "fillOpacity": 8}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _placed(rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Give each panel its number and place: rows under each other, three panels beside each other."""
    placed: list[dict[str, Any]] = []
    y = 0
    for title, panels in rows.items():
        head = {"type": "row", "title": title, "collapsed": False, "panels": []}
        placed.append({**head, "id": len(placed) + 1, "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y}})
        y += 1
        for number, panel in enumerate(panels):
            line, column = divmod(number, _COLUMNS // _WIDTH)
            at = {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": y + line * _HEIGHT}
            placed.append({**panel, "id": len(placed) + 1, "gridPos": at})
        y += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT
    return placed
