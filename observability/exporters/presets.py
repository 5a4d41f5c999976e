"""Where OTLP goes, by name: the endpoints, headers and temporality that each receiving side documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Preset:
    """One receiving side.

    Attributes:
        traces, metrics: URLs; `{base}` and `{region}` are filled from the settings; empty: not taken there.
        key_header: header that carries the key; `{key}` in `key_value` is the setting's.
        delta: histograms and counters as differences, not totals.
        aws_services: names that SigV4 signs for traces and metrics; empty: not signed.
        needs: settings that must be given.
    """

    traces: str
    metrics: str
    key_header: str = ""
    key_value: str = "{key}"
    delta: bool = False
    aws_services: tuple[str, str] = ("", "")
    needs: tuple[str, ...] = ()


PRESETS: Mapping[str, Preset] = {
    # A collector, Grafana Alloy, Jaeger, Tempo: anything that speaks OTLP.
    "otlp": Preset("{base}/v1/traces", "{base}/v1/metrics", needs=("otlp_url",)),
    "grafana": Preset(
        "{base}/v1/traces",  # https://otlp-gateway-<zone>.grafana.net/otlp
        "{base}/v1/metrics",
        key_header="authorization",
        key_value="Basic {key}",  # base64 of instance:token
        needs=("otlp_url", "otlp_key"),
    ),
    "datadog": Preset(
        "{base}/v1/traces",  # https://otlp.<site>
        "{base}/v1/metrics",
        key_header="dd-api-key",
        delta=True,
        needs=("otlp_url", "otlp_key"),
    ),
    "newrelic": Preset(
        "{base}/v1/traces",  # https://otlp.nr-data.net or https://otlp.eu01.nr-data.net
        "{base}/v1/metrics",
        key_header="api-key",
        delta=True,
        needs=("otlp_url", "otlp_key"),
    ),
    "sentry": Preset(
        "{base}/v1/traces/",  # https://o<organisation>.ingest.sentry.io/api/<project>/integration/otlp
        "",
        key_header="x-sentry-auth",
        key_value="sentry sentry_key={key}",
        needs=("otlp_url", "otlp_key"),
    ),
    "cloudwatch": Preset(
        "https://xray.{region}.amazonaws.com/v1/traces",
        "https://monitoring.{region}.amazonaws.com/v1/metrics",
        delta=True,
        aws_services=("xray", "monitoring"),
        needs=("region",),
    ),
}


class Resolved(msgspec.Struct, frozen=True):
    """A preset with the settings filled in."""

    traces: str
    metrics: str
    headers: dict[str, str]
    delta: bool
    aws_services: tuple[str, str]


def resolve(name: str, *, base: str, key: str, region: str, headers: Mapping[str, str]) -> Resolved:
    """Fill a preset from the settings.

    `base` replaces the documented host of `cloudwatch` too, for a proxy or a test.

    Raises:
        ValueError: one line that names the setting that is missing.
    """
    if name not in PRESETS:
        raise ValueError(f"observability.otlp_preset: one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    given = {"otlp_url": base, "otlp_key": key, "region": region}
    for setting in preset.needs:
        if not given[setting]:
            raise ValueError(f"observability.{setting}: needed by the preset {name}")
    base = base.rstrip("/")
    values = {"base": base, "region": region}
    traces, metrics = preset.traces.format(**values), preset.metrics.format(**values)
    if base and "{base}" not in preset.traces:
        traces, metrics = f"{base}/v1/traces", f"{base}/v1/metrics"
    sent = dict(headers)
    if preset.key_header:
        sent[preset.key_header] = preset.key_value.format(key=key)
    return Resolved(traces, metrics, sent, preset.delta, preset.aws_services)
