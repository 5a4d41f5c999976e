"""The plugin `drugs`: what it declares, as a table of contents."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from litestar.types import ControllerRouterHandler

from cito.core.database.query import Query, Statement
from cito.core.declarations import CacheFamily, Command, Grant, Index, Invalidation, Seed, Target
from cito.core.hookspecs import Plugin, hookimpl
from cito.plugins.drugs import cache, commands, queries, routes, triage_queries, triage_routes
from cito.plugins.drugs.seed import load_drugs
from cito.plugins.drugs.settings import DrugsSettings


class Drugs(Plugin):
    """The vocabulary of medicines: the right one, or an honest question."""

    name = "drugs"
    first_request = "/api/drugs/lookup?name=valium"
    sql = files("cito.sql") / "drugs"
    settings = DrugsSettings

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        """Return who reads the vocabulary and who writes it."""
        return (
            Grant(scope=routes.READ, roles=("nurse", "doctor", "pharmacist", "clerk", "admin")),
            Grant(scope=routes.WRITE, roles=("pharmacist", "admin")),
            Grant(scope=triage_routes.ASK, roles=("nurse", "doctor", "pharmacist")),
            Grant(scope=triage_routes.OVERRIDE, roles=("doctor", "pharmacist")),
        )

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return `/api/drugs` and `/api/prescriptions/requests`."""
        return (routes.Vocabulary, triage_routes.Prescriptions)

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return all bindings, naive twins among them."""
        return (*queries.ALL, *triage_queries.ALL)

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        """Return the indexes of the vocabulary."""
        return (
            Index(
                name="drug_aliases_key",
                table="drug_aliases",
                serves=("lookup_drugs", "search_drugs"),
                because="a typed generic name, brand or keyword is its folded key, or the beginning of it",
            ),
            Index(
                name="drug_aliases_contained",
                table="drug_aliases",
                serves=("search_drugs",),
                because="a part of a generic name, brand or keyword is found anywhere in it, all kinds at once",
            ),
            Index(
                name="drug_aliases_bare",
                table="drug_aliases",
                serves=("lookup_drugs", "search_drugs"),
                because="misspelt names are found by the trigrams of what is not the name of a salt",
            ),
            Index(
                name="drug_aliases_slips",
                table="drug_aliases",
                serves=("lookup_drugs",),
                because="a name that is one slip away needs no search by trigrams, which costs twenty times as much",
            ),
            Index(
                name="drugs_active_generic",
                table="drugs",
                serves=("list_drugs",),
                because="a page of the active drugs by generic name needs no sort",
            ),
            Index(
                name="drugs_ingredients",
                table="drugs",
                serves=("lookup_drugs",),
                because="combinations are found by what they are made of",
            ),
            Index(
                name="drugs_classes",
                table="drugs",
                serves=("list_drugs_of_class",),
                because="a class is a small part of the vocabulary",
            ),
            Index(
                name="drug_schedules_schedule",
                table="drug_schedules",
                serves=("list_drugs_of_schedule",),
                because="a schedule is a small part of the vocabulary; whether a drug is active is read with its row",
            ),
        )

    @hookimpl
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        """Return a lookup, a drug, and a page of drugs."""
        return cache.FAMILIES

    @hookimpl
    def register_invalidations(self) -> Iterable[Invalidation]:
        """Return what a change of the vocabulary makes stale."""
        return cache.INVALIDATIONS

    @hookimpl
    def register_targets(self) -> Iterable[Target]:
        """Return the promises, measured under load with varied parameters."""
        return (
            Target(operation="look_up_drug", p95_ms=20, hit_rate=0.95),
            Target(operation="look_up_drugs", p95_ms=50, hit_rate=0.95),
            Target(operation="search_drugs", p95_ms=50, hit_rate=0.5),
            Target(operation="read_drug", p95_ms=20, hit_rate=0.8),
            Target(operation="ask_for_prescription", p95_ms=100),
            Target(operation="read_prescription_request", p95_ms=20),
            Target(operation="override_prescription_request", p95_ms=100),
            Target(operation="add_drug", p95_ms=100),
            Target(operation="change_drug", p95_ms=100),
        )

    @hookimpl
    def register_seed_data(self) -> Iterable[Seed]:
        """Return the demo vocabulary."""
        return (Seed(name="drugs", load=load_drugs),)

    @hookimpl
    def register_commands(self) -> Iterable[Command]:
        """Return `cito drugs`."""
        return (Command(name="drugs", app=commands.app),)


plugin = Drugs()
