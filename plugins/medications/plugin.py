"""The plugin `medications`: what it declares, as a table of contents."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from litestar.types import ControllerRouterHandler

from cito.core.database.query import Query, Statement
from cito.core.declarations import CacheFamily, Grant, Index, Invalidation, Seed, Target
from cito.core.hookspecs import Plugin, hookimpl
from cito.plugins.medications import cache, queries, routes
from cito.plugins.medications.seed import load_formulary


class Medications(Plugin):
    """The formulary: the medicines that every clinic may order."""

    name = "medications"
    first_request = "/api/medications?search=aspirin%2081%20mg"
    sql = files("cito.sql") / "medications"

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        """Return who reads the formulary, who writes it, and who works with orders."""
        return (
            Grant(scope=routes.READ, roles=("nurse", "doctor", "pharmacist", "clerk", "admin")),
            Grant(scope=routes.WRITE, roles=("nurse", "doctor", "pharmacist", "admin")),
            Grant(scope=routes.DOSING, roles=("nurse", "doctor", "pharmacist")),
        )

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return `/api/medications`."""
        return (routes.Formulary, routes.Dosing)

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return all bindings, naive twins among them."""
        return queries.ALL

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        """Return the indexes of `medications`."""
        return (
            Index(
                name="medications_search",
                table="medications",
                serves=("search_medications", "count_found_medications", "suggest_medications"),
                because="words and prefixes of all fields are found without reading the table",
            ),
            Index(
                name="medications_name_words",
                table="medications",
                serves=("suggest_medications",),
                because="names that begin with the typed letters are a range",
            ),
            Index(
                name="medications_name_order",
                table="medications",
                serves=("list_medications",),
                because="a page of the whole formulary by name needs no sort",
            ),
            Index(
                name="medications_similar",
                table="medications",
                serves=("suggest_similar_medications",),
                because="misspelt names are found by the trigrams of their first words",
            ),
        )

    @hookimpl
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        """Return a medicine, a page of the formulary, and suggestions."""
        return cache.FAMILIES

    @hookimpl
    def register_invalidations(self) -> Iterable[Invalidation]:
        """Return what a change of `medications` makes stale."""
        return cache.INVALIDATIONS

    @hookimpl
    def register_targets(self) -> Iterable[Target]:
        """Return the promises, measured under load with varied parameters."""
        return (
            Target(operation="search_formulary", p95_ms=100, hit_rate=0.5),
            Target(operation="autocomplete_formulary", p95_ms=50, hit_rate=0.5),
            Target(operation="read_medication", p95_ms=20, hit_rate=0.8),
            Target(operation="add_medication", p95_ms=100),
            Target(operation="change_medication", p95_ms=100),
            Target(operation="parse_frequency", p95_ms=20),
        )

    @hookimpl
    def register_seed_data(self) -> Iterable[Seed]:
        """Return the demo formulary."""
        return (Seed(name="formulary", load=load_formulary),)


plugin = Medications()
