"""From configuration to a checked registry and the URLs of its servers: what every command starts with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from cito.core.builtin import Core
from cito.core.embedded import Embedded, Urls
from cito.core.refusals import refuse
from cito.core.registry import Registry, load_registry
from cito.core.settings import EMBEDDED, Settings, load_settings, plugin_settings
from cito.core.sources import Sources, read_sources

OBSERVABILITY = "observability"


@dataclass(frozen=True, slots=True)
class Assembly:
    """One Cito, configured and checked, with nothing opened yet."""

    settings: Settings
    registry: Registry
    sources: Sources

    @property
    def migration_sources(self) -> list[tuple[str, Traversable]]:
        """The SQL folders in the order in which they are migrated: the core's, then each plugin's."""
        return [(one.name, one.plugin.sql) for one in self.registry.plugins if one.plugin.sql is not None]

    @property
    def pool_size(self) -> int:
        """How many connections one process may pool, so that all of a node hold `database.pool_max` at most.

        API processes and the worker have pools, and each of them one more connection while it stands by for the
        relay; relay and audit have one each.
        """
        pools = self.settings.server.workers + 1
        return max(1, (self.settings.database.pool_max - pools - 2) // pools)


def assemble_cito(config: Path | None, **overrides: object) -> Assembly:
    """Load the settings and the enabled plugins, and check all declarations.

    Args:
        config: the configuration file; None: `cito.toml` where it exists.
        overrides: fields of `Settings.server` given on the command line; None values are ignored.

    Raises:
        SettingsError: a setting that is wrong.
        RefusedError: declarations that are wrong.
    """
    settings = load_settings(config)
    given = {name: value for name, value in overrides.items() if value is not None}
    return assemble(
        msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, **given))
    )


def assemble(settings: Settings) -> Assembly:
    """Load the enabled plugins, check all declarations against each other and against the SQL files.

    Raises:
        SettingsError: a plugin's own table is wrong.
        RefusedError: declarations that are wrong.
    """
    names = list(settings.plugins)
    if settings.observability.enabled and OBSERVABILITY not in names:
        names.append(OBSERVABILITY)
    registry = load_registry(names, extra=[Core()])
    for enabled in registry.plugins:
        if enabled.plugin.settings is not None:
            plugin_settings(settings, enabled.name, enabled.plugin.settings)
    sources = read_sources(registry)
    refuse(registry, sources)
    return Assembly(settings, registry, sources)


@contextmanager
def servers(settings: Settings) -> Iterator[Urls]:
    """Have the servers for the length of a block: the embedded ones are started where they do not run yet.

    Raises:
        EmbeddedError: an embedded server did not start.
    """
    embedded = Embedded(settings.home)
    wanted = [
        name
        for name, url in (("postgres", settings.database.url), ("valkey", settings.cache.url))
        if url == EMBEDDED
    ]
    try:
        embedded.start(wanted)
        yield resolved(settings)
    finally:
        embedded.stop()


def resolved(settings: Settings) -> Urls:
    """Return the URLs that the settings mean, embedded ones filled in."""
    own = Embedded(settings.home).urls()
    database = settings.database
    if database.url == EMBEDDED:
        return Urls(own.admin, own.owner, own.app, _cache(settings, own))
    owner = database.owner_url or database.url
    return Urls(owner, owner, database.url, _cache(settings, own))


def _cache(settings: Settings, own: Urls) -> str:
    return own.cache if settings.cache.url == EMBEDDED else settings.cache.url
