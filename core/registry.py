"""Loads the enabled plugins, orders them, asks each once, and freezes what they answer.

pluggy forgets who answered and returns `Any`: so every plugin is asked by itself, its name is stamped on each
declaration, and the type is checked here. After assembly nobody touches pluggy: `Registry` is all that the
composition root, the command line, workers and `observability` read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy
from litestar.types import ControllerRouterHandler

from cito.core import declarations as d
from cito.core.hookspecs import PROJECT, Plugin

T = TypeVar("T")
GROUP = "cito.plugins"


class RefusedError(Exception):
    """The assembly is refused. `refusals` has one line each: plugin, declaration, rule, what to do."""

    def __init__(self, refusals: Iterable[str]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(self.refusals))


@dataclass(frozen=True, slots=True)
class Owned(Generic[T]):
    """A declaration and the name of the plugin that made it."""

    plugin: str
    value: T


@dataclass(frozen=True, slots=True)
class Enabled:
    """An enabled plugin and the distribution that it came from."""

    plugin: Plugin
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plugin.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Everything the enabled plugins declared, in `requires` order."""

    plugins: tuple[Enabled, ...]
    grants: tuple[Owned[d.Grant], ...] = ()
    routes: tuple[Owned[ControllerRouterHandler], ...] = ()
    pages: tuple[Owned[ControllerRouterHandler], ...] = ()
    queries: tuple[Owned[Any], ...] = ()
    indexes: tuple[Owned[d.Index], ...] = ()
    cache_families: tuple[Owned[d.CacheFamily[Any, Any]], ...] = ()
    invalidations: tuple[Owned[d.Invalidation], ...] = ()
    answers_given: tuple[Owned[d.Answer[Any, Any]], ...] = ()
    jobs: tuple[Owned[d.Job], ...] = ()
    targets: tuple[Owned[d.Target], ...] = ()
    health_checks: tuple[Owned[d.HealthCheck], ...] = ()
    seed_data: tuple[Owned[d.Seed], ...] = ()
    panels: tuple[Owned[d.Panel], ...] = ()
    commands: tuple[Owned[d.Command], ...] = ()
    request_subscribers: tuple[Callable[[Any], None], ...] = ()
    job_subscribers: tuple[Callable[[Any], None], ...] = ()

    @property
    def answers(self) -> Mapping[str, d.Answer[Any, Any]]:
        """Answers by the question's name."""
        return {owned.value.question.name: owned.value for owned in self.answers_given}

    @property
    def scopes(self) -> Mapping[str, frozenset[str]]:
        """The scopes that each role holds, merged from all grants."""
        table: dict[str, set[str]] = {}
        for owned in self.grants:
            for role in owned.value.roles:
                table.setdefault(role, set()).add(owned.value.scope)
        return {role: frozenset(held) for role, held in table.items()}


# What each `register_*` hook must return, and the field of `Registry` that holds it.
_DECLARATIONS: dict[str, tuple[str, type | None]] = {
    "register_grants": ("grants", d.Grant),
    "register_routes": ("routes", None),
    "register_pages": ("pages", None),
    "register_queries": ("queries", None),
    "register_indexes": ("indexes", d.Index),
    "register_cache_families": ("cache_families", d.CacheFamily),
    "register_invalidations": ("invalidations", d.Invalidation),
    "register_answers": ("answers_given", d.Answer),
    "register_jobs": ("jobs", d.Job),
    "register_targets": ("targets", d.Target),
    "register_health_checks": ("health_checks", d.HealthCheck),
    "register_seed_data": ("seed_data", d.Seed),
    "register_panels": ("panels", d.Panel),
    "register_commands": ("commands", d.Command),
}
_EVENTS = {"request_finished": "request_subscribers", "job_finished": "job_subscribers"}
HOOKS = (*_DECLARATIONS, "lifespan", "relay_lifespan", *_EVENTS)


def installed() -> tuple[str, ...]:
    """Return the names of all installed plugins, enabled or not."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def load_registry(names: Iterable[str], *, extra: Iterable[Plugin] = ()) -> Registry:
    """Load the named plugins from the entry-point group `cito.plugins` and assemble them.

    Args:
        names: the enabled list of cito.toml; installing a package changes nothing by itself.
        extra: plugin objects that have no distribution (tests, a notebook).

    Raises:
        RefusedError: all that is wrong with the plugins themselves, at once.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    refusals: list[str] = []
    enabled = [Enabled(plugin, "(none)", "") for plugin in extra]
    for name in names:
        if name in found:
            enabled += _load(name, found[name], refusals)
        else:
            known = ", ".join(sorted(found)) or "none"
            refusals.append(f"plugin {name}: not installed; installed are: {known}")
    return assemble(enabled, refusals)


def _load(name: str, point: EntryPoint, refusals: list[str]) -> list[Enabled]:
    plugin = point.load()
    if not isinstance(plugin, Plugin):
        refusals.append(
            f"plugin {name}: its entry point {point.value} is no Plugin object; export an instance"
        )
        return []
    distribution = point.dist
    return [
        Enabled(plugin, distribution.name, distribution.version) if distribution else Enabled(plugin, "", "")
    ]


def assemble(enabled: list[Enabled], refusals: list[str] | None = None) -> Registry:
    """Order, check and ask plugins; see `load_registry`."""
    refused = list(refusals or ())
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Plugin)
    for one in enabled:
        refused += _refuse_class(one.plugin)
    if not refused:
        enabled = _in_order(enabled, refused)
    if refused:
        raise RefusedError(refused)
    answers: dict[str, list[Any]] = {field.name: [] for field in fields(Registry)[1:]}
    for one in enabled:
        manager.register(one.plugin, one.name)
        for hook, (field, kind) in _DECLARATIONS.items():
            if _overrides(one.plugin, hook):
                answers[field] += _ask(one.plugin, hook, kind, refused)
        for event, field in _EVENTS.items():
            if _overrides(one.plugin, event):
                answers[field].append(getattr(one.plugin, event))
    manager.check_pending()
    if refused:
        raise RefusedError(refused)
    return Registry(plugins=tuple(enabled), **{field: tuple(found) for field, found in answers.items()})


def _ask(plugin: Plugin, hook: str, kind: type | None, refused: list[str]) -> list[Owned[Any]]:
    """Call one hook of one plugin; what it returns is stamped with the plugin's name."""
    try:
        returned = list(getattr(plugin, hook)())
    except (TypeError, ValueError) as error:
        refused.append(f"plugin {plugin.name}: {hook}: {error}")
        return []
    refused.extend(
        f"plugin {plugin.name}: {hook} returned a {type(item).__name__}; return {kind.__name__} only"
        for item in returned
        if kind is not None and not isinstance(item, kind)
    )
    return [Owned(plugin.name, item) for item in returned]


def _overrides(plugin: Plugin, hook: str) -> bool:
    return getattr(type(plugin), hook) is not getattr(Plugin, hook)


def _refuse_class(plugin: Plugin) -> list[str]:
    """Refuse a bad name, an override without its marker, and a marked method that no hook specifies."""
    where = f"plugin {getattr(plugin, 'name', type(plugin).__name__)}"
    try:
        d.check_slug("plugin", plugin.name)
    except (AttributeError, ValueError) as error:
        return [f"{where}: {error}; set the class attribute `name`"]
    refused = []
    for attribute in dir(type(plugin)):
        if attribute.startswith("_"):
            continue
        marked = hasattr(getattr(type(plugin), attribute), f"{PROJECT}_impl")
        if attribute in HOOKS and _overrides(plugin, attribute) and not marked:
            refused.append(f"{where}: {attribute} lacks @hookimpl and would be ignored; mark it")
        if attribute not in HOOKS and marked:
            refused.append(
                f"{where}: {attribute} is marked @hookimpl, but there is no such hook; see core/hookspecs.py"
            )
    return refused


def _in_order(enabled: list[Enabled], refused: list[str]) -> list[Enabled]:
    """Put required plugins first; otherwise keep the order of the configuration."""
    by_name: dict[str, Enabled] = {}
    for one in enabled:
        if one.name in by_name:
            refused.append(f"plugin {one.name}: enabled twice; name it once")
        by_name[one.name] = one
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for one in enabled:
        sorter.add(one.name, *one.plugin.requires)
        refused += [
            f"plugin {one.name}: requires {needed}, which is not enabled; add it to `plugins` in cito.toml"
            for needed in one.plugin.requires
            if needed not in by_name
        ]
    try:
        return [by_name[name] for name in sorter.static_order() if name in by_name]
    except CycleError as error:
        refused.append(f"plugins {' -> '.join(error.args[1])}: require each other; break the circle")
        return enabled
