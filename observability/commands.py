"""`cito dashboards build`: what other systems need to watch this Cito, made from its declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cito.core.assembly import assemble_cito
from cito.core.commands.output import config_path, console
from cito.observability.generate.cloudformation import template
from cito.observability.generate.grafana import dashboard
from cito.observability.generate.prometheus import rules_file

app = typer.Typer(
    name="dashboards",
    help="Dashboards, rules and alarms for Grafana, Prometheus and CloudWatch.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """Dashboards, rules and alarms for Grafana, Prometheus and CloudWatch."""


@app.command()
def build(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("deploy/observability"),
) -> None:
    """Write a Grafana dashboard, Prometheus rules and CloudWatch alarms from the enabled plugins' declarations.

    Import `grafana-dashboard.json` into Grafana, name `prometheus-rules.yml` under `rule_files:`, deploy
    `cloudwatch-alarms.json` with CloudFormation. Build again after plugins or targets change.
    """
    registry = assemble_cito(config_path(context)).registry
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("grafana-dashboard.json", dashboard(registry)),
        ("prometheus-rules.yml", rules_file(registry)),
        ("cloudwatch-alarms.json", template(registry)),
    ):
        (out / name).write_text(text)
        console.print(out / name, highlight=False)
