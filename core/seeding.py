"""Demo data: every plugin's seeds, in the order that they ask for, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from graphlib import TopologicalSorter

import psycopg

from cito.core.declarations import Seed
from cito.core.registry import Registry

Progress = Callable[[str, int, int], None]


def seeds_in_order(registry: Registry, plugin: str | None = None) -> list[Seed]:
    """Return the seeds of all plugins, or of one, those that others build on first."""
    seeds = {owned.value.name: owned for owned in registry.seed_data}
    sorter = TopologicalSorter({name: set(owned.value.after) & set(seeds) for name, owned in seeds.items()})
    ordered = (seeds[name] for name in sorter.static_order())
    return [owned.value for owned in ordered if plugin in (None, owned.plugin)]


async def run_seeds(owner_url: str, seeds: Iterable[Seed], count: int | None, progress: Progress) -> None:
    """Load each seed as the owner of the tables; one that finds its data there does nothing.

    Args:
        owner_url: PostgreSQL as `cito_owner`.
        seeds: in order.
        count: how many records; None: each seed's default.
        progress: gets the seed's name, how many are done, and how many there are.

    Raises:
        psycopg.Error: nothing of the failing seed stays.
    """
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        for seed in seeds:
            async with connection.transaction():
                await seed.load(connection, count, partial(progress, seed.name))
