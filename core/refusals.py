"""Every cross-check of the declarations: one function each, one message each, all refusals at once.

A message says which plugin, which declaration, which rule, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from litestar import Router

from cito.core.declarations import RULES_KEY, RouteRules, tag_fields, tag_shape
from cito.core.registry import Owned, RefusedError, Registry
from cito.core.sources import Sources

_FIELD = re.compile(r"\{[^}]*\}")
Check = Callable[[Registry, Sources], Iterable[str]]


def refuse(registry: Registry, sources: Sources) -> None:
    """Check all declarations against each other and against the SQL files.

    Raises:
        RefusedError: with every refusal found.
    """
    refusals = [refusal for check in CHECKS for refusal in check(registry, sources)]
    if refusals:
        raise RefusedError(refusals)


def refuse_catalogue(registry: Registry, columns: Mapping[str, frozenset[str]]) -> None:
    """Check invalidations and indexes against the migrated database.

    Args:
        registry: what the plugins declared.
        columns: for each table its columns; the core's own tables are named `cito.<table>`.

    Raises:
        RefusedError: a table or column that does not exist.
    """
    refusals: list[str] = []
    for owned in registry.invalidations:
        rule, where = owned.value, f"plugin {owned.plugin}: invalidation of {owned.value.table}"
        if rule.table not in columns:
            refusals.append(f"{where}: no such table; correct the name, or add its migration")
            continue
        used = {*(rule.columns or ()), *(field for tag in rule.tags for field in tag_fields(tag))}
        refusals += [
            f"{where}: no column {column}; the table has {', '.join(sorted(columns[rule.table]))}"
            for column in sorted(used - columns[rule.table])
        ]
    refusals += [
        f"plugin {owned.plugin}: index {owned.value.name}: no table {owned.value.table}; correct the name"
        for owned in registry.indexes
        if owned.value.table not in columns
    ]
    if refusals:
        raise RefusedError(refusals)


def route_operations(registry: Registry) -> Iterator[tuple[str, str, str, Any]]:
    """Yield `(plugin, method, path, handler)` of every registered route, paths under `/api`."""
    for owned in registry.routes:
        for route in Router(path="/api", route_handlers=[owned.value]).routes:
            for handler in getattr(route, "route_handlers", ()):
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    yield owned.plugin, method, route.path_format, handler


def duplicate_routes(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse two handlers for one method and path, and two handlers of one operation id."""
    owners: dict[tuple[str, str], str] = {}
    operations: dict[str, str] = {}
    for plugin, method, path, handler in route_operations(registry):
        same = (method, _FIELD.sub("{}", path))
        if same in owners:
            yield f"plugin {plugin}: route {method} {path}: plugin {owners[same]} has it already; change the path"
        owners[same] = plugin
        operation = handler.operation_id
        if not isinstance(operation, str):
            yield f"plugin {plugin}: route {method} {path} has no operation_id; give it one"
        elif operations.setdefault(operation, path) != path:
            yield f"plugin {plugin}: route {method} {path}: operation_id {operation} is {operations[operation]}'s; rename it"


def routes_without_rules(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse a route that names no scope, or a scope that no role holds."""
    granted = {owned.value.scope for owned in registry.grants}
    for plugin, method, path, handler in route_operations(registry):
        declared = handler.opt.get(RULES_KEY)
        if not isinstance(declared, RouteRules):
            yield f"plugin {plugin}: route {method} {path} has no rules; add opt=rules(scope, queries=n)"
        elif declared.scope not in granted:
            yield f"plugin {plugin}: route {method} {path}: no role holds {declared.scope}; add a Grant"


def duplicate_names(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse two declarations of one kind under one name."""
    kinds: dict[str, tuple[Owned[Any], ...]] = {
        "query": registry.queries,
        "index": registry.indexes,
        "cache family": registry.cache_families,
        "job": registry.jobs,
        "health check": registry.health_checks,
        "seed": registry.seed_data,
        "command group": registry.commands,
    }
    for kind, declared in kinds.items():
        owners: dict[str, str] = {}
        for owned in declared:
            name = owned.value.name
            if name in owners:
                yield f"plugin {owned.plugin}: {kind} {name}: plugin {owners[name]} has that name already; rename it"
            owners.setdefault(name, owned.plugin)
    asked: dict[str, str] = {}
    for owned in registry.answers_given:
        question = owned.value.question.name
        if question in asked:
            yield f"plugin {owned.plugin}: answers {question}, as plugin {asked[question]} does; one answer only"
        asked.setdefault(question, owned.plugin)


def duplicate_tags(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse a tag that a family lists twice, or that two rules of one table emit."""
    for owned in registry.cache_families:
        shapes = [tag_shape(tag) for tag in owned.value.tags]
        for repeated in sorted({s for s in shapes if shapes.count(s) > 1}):
            yield f"plugin {owned.plugin}: cache family {owned.value.name}: tag {repeated} twice; list it once"
    emitters: dict[tuple[str, str], str] = {}
    for rule in registry.invalidations:
        for tag in rule.value.tags:
            same = (rule.value.table, tag)
            if same in emitters:
                yield (
                    f"plugin {rule.plugin}: invalidation of {same[0]}: tag {tag} is emitted already "
                    f"by plugin {emitters[same]}; join the two rules"
                )
            emitters[same] = rule.plugin


def queries_and_blocks(registry: Registry, sources: Sources) -> Iterator[str]:
    """Refuse a query that no SQL file has, a block that nobody uses, and parameters that differ."""
    bound = {owned.value.name: owned for owned in registry.queries}
    for name, owned in bound.items():
        block = sources.queries.get(name)
        if block is None:
            yield f"plugin {owned.plugin}: query {name}: no block of that name in its queries.sql; write it"
            continue
        fields = tuple(field.name for field in msgspec.structs.fields(owned.value.params))
        if sorted(fields) != sorted(block.value.parameters):
            yield (
                f"plugin {owned.plugin}: query {name}: {owned.value.params.__name__} has ({', '.join(fields)}), "
                f"the block uses ({', '.join(block.value.parameters)}); make them the same"
            )
    for name, block in sources.queries.items():
        if name not in bound:
            yield f"plugin {block.plugin}: block {name} ({block.value.source}): used by no query; register or delete it"


def indexes_serve(registry: Registry, sources: Sources) -> Iterator[str]:
    """Refuse an index without DDL, without a known query to serve, and DDL that no index declares."""
    names = {owned.value.name for owned in registry.queries}
    declared = {owned.value.name for owned in registry.indexes}
    for owned in registry.indexes:
        where = f"plugin {owned.plugin}: index {owned.value.name}"
        if owned.value.name not in sources.indexes:
            yield f"{where}: no block of that name in its indexes.sql; write it"
        if not owned.value.serves:
            yield f"{where}: serves nothing; name the queries whose plans use it, or drop it"
        for query in owned.value.serves:
            if query not in names:
                yield f"{where}: serves {query}, which is no registered query; correct the name"
    for name, block in sources.indexes.items():
        if name not in declared:
            yield f"plugin {block.plugin}: index block {name}: declared by no Index; declare or delete it"


def tags_reach(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse a family's tag that its key cannot fill, or that no invalidation can reach."""
    emitted = {tag_shape(tag) for rule in registry.invalidations for tag in rule.value.tags}
    for owned in registry.cache_families:
        family, where = owned.value, f"plugin {owned.plugin}: cache family {owned.value.name}"
        fields = {field.name for field in msgspec.structs.fields(family.key)}
        fields |= {"clinic_id"} if family.scoped else set()
        for tag in family.tags:
            for field in sorted({*tag_fields(tag)} - fields):
                yield f"{where}: tag {tag}: {family.key.__name__} has no field {field}; correct the template"
            if tag_shape(tag) not in emitted:
                yield f"{where}: tag {tag}: no invalidation emits it, so it would never be stale; add an Invalidation"


def tags_used(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse an invalidation whose tag no family carries."""
    carried = {tag_shape(tag) for owned in registry.cache_families for tag in owned.value.tags}
    for rule in registry.invalidations:
        for tag in rule.value.tags:
            if tag_shape(tag) not in carried:
                yield f"plugin {rule.plugin}: invalidation of {rule.value.table}: no cache family carries {tag}; drop it"


def targets_known(registry: Registry, _: Sources) -> Iterator[str]:
    """Refuse a target for an operation that is neither a route's, nor a query, nor a job."""
    known = {handler.operation_id for _, _, _, handler in route_operations(registry)}
    known |= {owned.value.name for owned in (*registry.queries, *registry.jobs)}
    for owned in registry.targets:
        if owned.value.operation not in known:
            yield f"plugin {owned.plugin}: target {owned.value.operation}: no such operation; correct the name"


CHECKS: tuple[Check, ...] = (
    duplicate_routes,
    routes_without_rules,
    duplicate_names,
    duplicate_tags,
    queries_and_blocks,
    indexes_serve,
    tags_reach,
    tags_used,
    targets_known,
)
