"""The SQL files of all enabled plugins, read once: named queries, naive twins and index statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from cito.core.database.sql import NamedQuery, SqlError, read_ddl, read_queries
from cito.core.registry import Owned, RefusedError, Registry

NAIVE = "naive_"


@dataclass(frozen=True, slots=True)
class Sources:
    """Blocks by name, with the plugin whose file holds them. A twin's name begins with `naive_`."""

    queries: Mapping[str, Owned[NamedQuery]]
    indexes: Mapping[str, Owned[str]]


def read_sources(registry: Registry) -> Sources:
    """Read `queries.sql`, `naive.sql` and `indexes.sql` of every plugin that has a folder.

    A block of `naive.sql` has the name of the query whose twin it is, and is loaded as `naive_<name>`.

    Raises:
        RefusedError: a file that cannot be read as blocks, or a name in two files.
    """
    queries: dict[str, Owned[NamedQuery]] = {}
    indexes: dict[str, Owned[str]] = {}
    refusals: list[str] = []
    for enabled in registry.plugins:
        folder = enabled.plugin.sql
        if folder is None:
            continue
        try:
            found = [*read_queries(folder / "queries.sql").values()]
            found += [
                msgspec.structs.replace(block, name=NAIVE + block.name)
                for block in read_queries(folder / "naive.sql").values()
            ]
            statements = read_ddl(folder / "indexes.sql")
        except SqlError as error:
            refusals.append(f"plugin {enabled.name}: {error}")
            continue
        for block in found:
            if block.name in queries:
                refusals.append(
                    f"plugin {enabled.name}: block {block.name}: plugin {queries[block.name].plugin} "
                    f"has that name already; rename it"
                )
            queries[block.name] = Owned(enabled.name, block)
        indexes |= {name: Owned(enabled.name, text) for name, text in statements.items()}
    if refusals:
        raise RefusedError(refusals)
    return Sources(queries, indexes)
