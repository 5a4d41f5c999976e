"""The patients plugin: what it brings, on one screen."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from litestar.types import ControllerRouterHandler

from cito.core.database.query import Query, Statement
from cito.core.declarations import Answer, CacheFamily, Command, Grant, Index, Invalidation, Seed, Target
from cito.core.hookspecs import Plugin, hookimpl
from cito.plugins.patients import answers, cache, commands, queries, seed
from cito.plugins.patients.indexes import INDEXES
from cito.plugins.patients.routes import READ, WRITE, Patients


class PatientsPlugin(Plugin):
    """Patients, their contacts and insurance; clinics and their staff."""

    name = "patients"
    sql = files("cito.sql") / "patients"

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        """Return who reads and who writes patients."""
        return (
            Grant(scope=READ, roles=("nurse", "doctor", "pharmacist", "clerk")),
            Grant(scope=WRITE, roles=("nurse", "doctor", "clerk")),
        )

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        """Return the routes under `/api/patients`."""
        return (Patients,)

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any] | Statement[Any]]:
        """Return the bindings of all named queries."""
        return queries.ALL

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        """Return the indexes with their reasons."""
        return INDEXES

    @hookimpl
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        """Return profile, search, clinic and metadata."""
        return cache.FAMILIES

    @hookimpl
    def register_invalidations(self) -> Iterable[Invalidation]:
        """Return what makes them stale."""
        return cache.INVALIDATIONS

    @hookimpl
    def register_answers(self) -> Iterable[Answer[Any, Any]]:
        """Return whether the clinic has a patient."""
        return answers.ANSWERS

    @hookimpl
    def register_targets(self) -> Iterable[Target]:
        """Return the promises of issue and README, at 200,000 patients."""
        return (
            Target(operation="search_patients", p95_ms=50, hit_rate=0.7),
            Target(operation="read_patient", p95_ms=20, hit_rate=0.7),
            Target(operation="read_patient_metadata", p95_ms=20, hit_rate=0.7),
            Target(operation="register_patient", p95_ms=100),
            Target(operation="change_patient", p95_ms=100),
        )

    @hookimpl
    def register_seed_data(self) -> Iterable[Seed]:
        """Return demo clinics with staff, and made-up patients."""
        return (
            Seed(name="clinics", load=seed.load_clinics),
            Seed(name="patients", load=seed.load_patients, after=("clinics",)),
        )

    @hookimpl
    def register_commands(self) -> Iterable[Command]:
        """Return `cito clinics`."""
        return (Command(name="clinics", app=commands.app),)
