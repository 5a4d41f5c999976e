"""Data at a size where an index matters: for every plugin's tables, copied to a staging table, inserted from it.

COPY does not pass row-level security: the application role fills a clinic's tables from a temporary table, in a
transaction of that clinic. Names are those of the demo data with a number, so that words are as frequent as theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from support import CLINIC, Site

from cito.core.ids import new_id
from cito.core.seeding import run_seeds, seeds_in_order
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.seed import demo_drugs
from cito.plugins.medications.seed import read_formulary

Row = tuple[object, ...]
MEDICINE = ("id", "name", "generic_name", "dosage_form", "strength")
DRUG = (
    "id", "generic_name", "generic_key", "ingredients", "ingredient_keys", "classes", "prescription_only",
    "is_active",
)  # fmt: skip
ALIAS = ("drug_id", "kind", "name", "folded", "key", "place")
SCHEDULE = ("drug_id", "jurisdiction", "schedule")
REQUEST = (
    "clinic_id", "id", "patient_id", "route", "rules_version", "requested_by", "requested_at", "answer",
)  # fmt: skip
OVERRIDE = ("clinic_id", "id", "request_id", "route", "reason", "overridden_by", "role", "overridden_at")
METRICS = (
    "node", "at", "seconds", "metric", "labels", "count", "total_ns", "least_ns", "most_ns", "buckets",
)  # fmt: skip
EVENT = (
    "occurred_at", "id", "actor", "role", "clinic_id", "action", "outcome", "resource", "patient_id",
    "request_id", "trace_id", "chain", "sequence", "ordinal", "seal",
)  # fmt: skip


async def fill(site: Site, count: int) -> None:
    """Bring every plugin's tables to about `count` rows, and the audit's."""
    await run_seeds(site.urls.owner, seeds_in_order(site.assembly.registry), count, lambda *_: None)
    copied(site.urls.app, "medications", MEDICINE, medicines(count))
    drugs = [(uuid4(), name) for name in drug_names(count)]
    copied(site.urls.app, "drugs", DRUG, map(drug, drugs))
    copied(site.urls.app, "drug_aliases", ALIAS, map(alias, drugs))
    copied(
        site.urls.app,
        "drug_schedules",
        SCHEDULE,
        ((id_, "US", f"{n % 500}") for n, (id_, _) in enumerate(drugs)),
    )
    now = datetime.now(UTC)
    requests = [uuid4() for _ in range(count)]
    copied(
        site.urls.app,
        "prescription_requests",
        REQUEST,
        ((CLINIC, id_, None, "auto", "1", "someone", now, "{}") for id_ in requests),
        CLINIC,
    )
    copied(
        site.urls.app,
        "prescription_overrides",
        OVERRIDE,
        ((CLINIC, uuid4(), id_, "doctor", "a longer reason", "someone", "doctor", now) for id_ in requests),
        CLINIC,
    )
    if "observability" in {one.name for one in site.assembly.registry.plugins}:
        copied(site.urls.app, "performance_metrics", METRICS, minutes(count, now))
    with psycopg.connect(site.urls.app) as app:
        for moment in (now, now - timedelta(milliseconds=count)):
            app.execute("select cito.audit_ensure_month(%s)", (moment,))
    copied(site.urls.app, "cito.audit_event", EVENT, events(count, now), CLINIC)
    with psycopg.connect(site.urls.owner, autocommit=True) as owner:
        owner.execute("vacuum analyze")


def copied(
    url: str, table: str, columns: tuple[str, ...], rows: Iterable[Row], clinic: UUID | None = None
) -> None:
    """Copy rows to a staging table and insert them from it, in one transaction of a clinic."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    target = sql.Identifier(*table.split("."))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("select set_config('cito.clinic_id', %s, true)", (str(clinic or ""),))
        cursor.execute(
            sql.SQL("create temporary table staged on commit drop as select {} from {} with no data").format(
                names, target
            )
        )
        with cursor.copy(sql.SQL("copy staged ({}) from stdin").format(names)) as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(sql.SQL("insert into {0} ({1}) select {1} from staged").format(target, names))


def medicines(count: int) -> Iterator[Row]:
    for n, (name, generic, form, strength, *_) in zip(range(count), cycle(read_formulary()), strict=False):
        yield new_id(), f"{name} No. {n}", f"{generic} {n}", form, strength


def drug_names(count: int) -> Iterator[str]:
    names = [line.generic_name for line in demo_drugs()]
    return (f"{name} {n}" for n, name in zip(range(count), cycle(names), strict=False))


def drug(one: tuple[UUID, str]) -> Row:
    id_, name = one
    key = squash(fold(name))
    return id_, name, key, [name], [key], [f"class {key[:3]}"], True, key[-1] != "7"


def alias(one: tuple[UUID, str]) -> Row:
    id_, name = one
    return id_, "generic", name, fold(name), squash(fold(name)), 1


def minutes(count: int, now: datetime) -> Iterator[Row]:
    for n in range(count):
        at = now - timedelta(minutes=n // 10)
        yield "a node", at, 60, f"metric {n % 10}", "{}", 1, 10, 10, 10, '{"10": 1}'


def events(count: int, now: datetime) -> Iterator[Row]:
    chain = uuid4()
    for n in range(count):
        yield (
            now - timedelta(milliseconds=n), uuid4(), f"subject {n % 1000}", "nurse", CLINIC, "read", "success", "patients", uuid4(),
            f"request {n}", "0" * 32, chain, n, 0, b"seal",
        )  # fmt: skip
