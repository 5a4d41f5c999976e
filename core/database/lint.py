"""Refuses migrations that would lock or rewrite a table that is in use, unless they say why they may.

A table that the same file creates is empty, so anything goes there. Elsewhere a rule is lifted by a line
`-- allow: <rule> because <reason>`. The remedies are the usual safe steps: build beside, validate later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from cito.core.database.sql import statements

_CREATED = re.compile(
    r"\bcreate\s+(?:unlogged\s+|temp\s+|temporary\s+)?table\s+(?:if\s+not\s+exists\s+)?([\w.]+)",
    re.IGNORECASE,
)
_ALLOWED = re.compile(r"^--\s*allow:\s*(?P<rule>[\w-]+)\s+because[ \t]+\S", re.MULTILINE)
_TABLE = re.compile(
    r"^\s*(?:alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?([\w.]+)"
    r"|create\s+(?:unique\s+)?index\b.*?\bon\s+(?:only\s+)?([\w.]+)"
    r"|(?:lock(?:\s+table)?|cluster|vacuum\s+full|truncate(?:\s+table)?)\s+(?:only\s+)?([\w.]+))",
    re.IGNORECASE | re.DOTALL,
)
_VOLATILE = r"(?:random|clock_timestamp|gen_random_uuid|uuidv[47]|uuid_generate_v\d|nextval|timeofday)\s*\("


class Rule(msgspec.Struct, frozen=True):
    """What a statement on a table in use may not hold, and what to do instead."""

    name: str
    pattern: re.Pattern[str]
    remedy: str


def _rule(name: str, pattern: str, remedy: str) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE | re.DOTALL), remedy)


RULES = (
    _rule(
        "index-not-concurrent",
        r"^create\s+(?:unique\s+)?index\s+(?!concurrently)",
        "declare it in indexes.sql: it is built concurrently, and writes go on",
    ),
    _rule(
        "column-rewrite",
        rf"\badd\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?\w+[^,]*?(?:default\s+[^,]*{_VOLATILE}|generated\s+always\s+as\s+\(.*stored|(?:big)?serial\b|generated\s+\w+(?:\s+default)?\s+as\s+identity)",
        "add the column empty, set the default, fill it in batches",
    ),
    _rule(
        "column-not-null",
        r"\badd\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?(?!constraint\b)\w+(?![^,]*\bdefault\b)[^,]*\bnot\s+null",
        "add it nullable, fill it, then `check (... is not null) not valid`, validate, set not null",
    ),
    _rule(
        "type-rewrite",
        r"\balter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type\b",
        "add a column of the new type, fill it in batches, swap by a view or by renaming",
    ),
    _rule(
        "set-not-null",
        r"\balter\s+(?:column\s+)?\w+\s+set\s+not\s+null",
        "first `check (column is not null) not valid`, validate it in a migration of its own, then allow this",
    ),
    _rule(
        "constraint-scan",
        r"\badd\s+(?:constraint\s+\w+\s+)?(?:foreign\s+key|check)\b(?!.*\bnot\s+valid\b)",
        "add it `not valid`, validate it in the next migration: that reads without blocking writes",
    ),
    _rule(
        "constraint-index",
        r"\badd\s+(?:constraint\s+\w+\s+)?(?:unique|primary\s+key|exclude)\b(?!\s+using\s+index\b)",
        "build a unique index concurrently, then `add constraint ... using index`",
    ),
    _rule("lock", r"^lock\b", "no step of a migration needs it"),
    _rule("rewrite", r"^(?:cluster|vacuum\s+full)\b", "use pg_repack in a quiet hour"),
    _rule(
        "rename",
        r"\brename\s+(?:column\s+\w+\s+)?to\b",
        "the code that runs knows the old name: add the new one, and drop the old in a `post` migration",
    ),
)


class Finding(msgspec.Struct, frozen=True):
    """A rule that a migration breaks."""

    migration: str
    rule: str
    table: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.migration}: {self.rule} on {self.table}: {self.remedy}; "
            f"or say `-- allow: {self.rule} because ...`"
        )


def lint(migration: str, text: str) -> list[Finding]:
    """Return what a migration does to tables in use that it may not.

    Args:
        migration: its id, for the message.
        text: the file.
    """
    allowed = {found["rule"] for found in _ALLOWED.finditer(text)}
    return [finding for finding in _broken(migration, text) if finding.rule not in allowed]


def _broken(migration: str, text: str) -> Iterator[Finding]:
    created: set[str] = set()
    for statement in statements(text, migration):
        created |= {name.lower().removeprefix("public.") for name in _CREATED.findall(statement)}
        found = _TABLE.match(statement)
        table = next((g for g in found.groups() if g), "").lower().removeprefix("public.") if found else ""
        if table and table not in created:
            for rule in RULES:
                if rule.pattern.search(statement):
                    yield Finding(migration, rule.name, table, rule.remedy)
