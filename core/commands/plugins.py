"""`cito plugins`: what is enabled, from which distribution, and what each declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from cito.core.registry import Enabled, Owned, Registry


def described(registry: Registry) -> list[dict[str, Any]]:
    """Return one row a plugin: name, distribution, version, requirements, and its declarations by kind."""
    return [
        {
            "plugin": enabled.name,
            "distribution": enabled.distribution,
            "version": enabled.version,
            "requires": list(enabled.plugin.requires),
            "declares": _declared(registry, enabled),
        }
        for enabled in registry.plugins
    ]


def summary(registry: Registry) -> list[dict[str, Any]]:
    """Return the same rows with counts in place of names, for a table."""
    return [
        {**row, "declares": ", ".join(f"{len(names)} {kind}" for kind, names in row["declares"].items())}
        for row in described(registry)
    ]


def _declared(registry: Registry, enabled: Enabled) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in fields(registry):
        owned: Sequence[Any] = getattr(registry, field.name)
        names = [_name(one.value) for one in owned if isinstance(one, Owned) and one.plugin == enabled.name]
        if names:
            found[field.name.replace("_", " ")] = names
    return found


def _name(declaration: Any) -> str:
    for attribute in ("name", "scope", "operation", "title", "table", "path"):
        name = getattr(declaration, attribute, None)
        if isinstance(name, str):
            return name
    question = getattr(declaration, "question", None)
    return (
        question.name
        if question is not None
        else getattr(declaration, "__name__", type(declaration).__name__)
    )
