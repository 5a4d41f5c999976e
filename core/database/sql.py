"""Reads .sql files: named blocks, their promises, and `:name` parameters turned into `$n`.

A block starts at `-- name: find_patient(clinic_id, id)`; comment lines follow (one line of documentation,
`-- target: 5 ms`, `-- returns: one|many|rows`, perhaps `-- example: select ...` and `-- scans: because ...`), then
one SQL statement. The text that is sent is the text that `pg_stat_statements` shows: PostgreSQL itself infers each
parameter's type, so write a cast (`:limit::int`) where it cannot. A colon after a number, a name, `)` or `]` is an
array slice; write `[1: :last]` for a parameter there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from typing import Literal

import msgspec

Returns = Literal["one", "many", "rows"]

_HEADER = re.compile(r"^--\s*name:\s*(?P<name>[a-z][a-z0-9_]{0,62})\s*(?:\((?P<params>[^)]*)\))?\s*$")
_PROMISE = re.compile(r"^--\s*(?P<key>target|returns|example|scans):\s*(?P<value>.*?)\s*$")
_TOKEN = re.compile(
    r"""(?P<string>(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*')
      | (?P<identifier>"(?:[^"]|"")*")
      | (?P<comment>--[^\n]*)
      | (?P<block>/\*)
      | (?P<dollar>(?<![\w$])\$(?:[A-Za-z_]\w*)?\$)
      | (?P<cast>::|:=)
      | (?P<positional>(?<![\w$])\$\d+)
      | (?<![\w)\]"']):(?P<parameter>[A-Za-z_]\w*)
      | (?P<semicolon>;)""",
    re.VERBOSE | re.DOTALL,
)


class SqlError(Exception):
    """A block that cannot be read; the message names file, block and rule."""


class NamedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One block of a `queries.sql` or `naive.sql`.

    Attributes:
        name: the operation's name.
        doc: one line for people.
        parameters: names in the order of `$1`, `$2`, ...
        target_ms: the promised p95; None: no promise.
        returns: `one` or `many` rows, or only how many `rows` were touched.
        examples: selects that give values to its parameters, by name, for plans; each is planned.
        scans: why it may read a large table from end to end; empty: it may not.
        text: the SQL as it is sent.
        source: file and line, for messages.
    """

    name: str
    doc: str
    parameters: tuple[str, ...]
    target_ms: float | None
    returns: Returns
    text: str
    source: str
    examples: tuple[str, ...] = ()
    scans: str = ""


def read_queries(file: Traversable) -> dict[str, NamedQuery]:
    """Return the blocks of a `queries.sql` by name; no file, no blocks.

    Raises:
        SqlError: a malformed block, a name used twice, parameters that differ from the declared ones.
    """
    found: dict[str, NamedQuery] = {}
    for name, declared, comments, body, source in _blocks(file):
        said = [(m["key"], m["value"]) for m in map(_PROMISE.match, comments) if m]
        promises = dict(said)
        text, used = bind_positions(body, source)
        if declared is None:
            raise SqlError(f"{source}: {name}: write the parameters, `{name}()` when there are none")
        if sorted(declared) != sorted(used):
            raise SqlError(f"{source}: {name} declares ({', '.join(declared)}), uses ({', '.join(used)})")
        if name in found:
            raise SqlError(f"{source}: {name} is there already, at {found[name].source}")
        found[name] = NamedQuery(
            name=name,
            doc=next((c.lstrip("- ") for c in comments if not _PROMISE.match(c)), ""),
            parameters=used,
            target_ms=_target_ms(promises.get("target"), name, source),
            returns=_returns(promises.get("returns"), name, source),
            text=text,
            source=source,
            examples=tuple(value for key, value in said if key == "example"),
            scans=promises.get("scans", ""),
        )
    return found


def read_ddl(file: Traversable) -> dict[str, str]:
    """Return the statements of an `indexes.sql` by name: blocks without parameters; no file, no blocks."""
    found: dict[str, str] = {}
    for name, _, _, body, source in _blocks(file):
        if name in found:
            raise SqlError(f"{source}: {name} is there already")
        found[name] = bind_positions(body, source)[0]
    return found


def bind_positions(sql: str, source: str = "sql") -> tuple[str, tuple[str, ...]]:
    """Return the statement with `:name` written as `$n`, and the names in the order of their numbers.

    Raises:
        SqlError: more than one statement, a `$1` written by hand, an unfinished quote.
    """
    out: list[str] = []
    names: list[str] = []
    ended = False
    for kind, text in tokens(sql, source):
        if ended and not (kind == "comment" or text.isspace()):
            raise SqlError(f"{source}: one block, one statement")
        if kind == "parameter":
            if text not in names:
                names.append(text)
            out.append(f"${names.index(text) + 1}")
        elif kind == "positional":
            raise SqlError(f"{source}: write parameters as :name, not {text}")
        elif kind == "semicolon":
            ended = True
        elif not ended:
            out.append(text)
    return "".join(out).strip(), tuple(names)


def statements(sql: str, source: str = "sql") -> list[str]:
    """Return the statements of a script one by one, without their semicolons.

    A function body in `begin atomic` form holds semicolons of its own; write it in dollar quotes.
    """
    parts: list[str] = [""]
    for kind, text in tokens(sql, source):
        if kind == "semicolon":
            parts.append("")
        elif kind != "comment":
            parts[-1] += f":{text}" if kind == "parameter" else text
    return [part.strip() for part in parts if part.strip()]


def tokens(sql: str, source: str = "sql") -> Iterator[tuple[str, str]]:
    """Yield `(kind, text)` of the pieces that matter; everything between them is `other`.

    A `parameter` comes without its colon; the texts of all other pieces join to the input.
    """
    at = 0
    while found := _TOKEN.search(sql, at):
        if found.start() > at:
            yield _plain(sql[at : found.start()], source)
        kind, end = found.lastgroup or "other", found.end()
        if kind == "block":
            end = _end_of_comment(sql, found.start(), source)
            kind = "comment"
        elif kind == "dollar":
            end = sql.find(found.group(), end) + len(found.group())
            if end < found.end():
                raise SqlError(f"{source}: {found.group()} is not closed")
            kind = "string"
        yield kind, found["parameter"] if kind == "parameter" else sql[found.start() : end]
        at = end
    if at < len(sql):
        yield _plain(sql[at:], source)


def _plain(text: str, source: str) -> tuple[str, str]:
    if "'" in text or '"' in text:
        raise SqlError(f"{source}: a quote is not closed")
    return "other", text


def _end_of_comment(sql: str, start: int, source: str) -> int:
    """Block comments nest, which no regular expression follows."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", sql[start:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return start + mark.end()
    raise SqlError(f"{source}: a comment is not closed")


def _blocks(file: Traversable) -> Iterator[tuple[str, tuple[str, ...] | None, list[str], str, str]]:
    """Yield name, declared parameters, comment lines, body and source of each block."""
    if not file.is_file():
        return
    lines = file.read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if _HEADER.match(line)] + [len(lines)]
    for i, line in enumerate(lines[: starts[0]]):
        if line.strip() and not line.startswith("--"):
            raise SqlError(f"{file.name}:{i + 1}: SQL before the first `-- name:`")
        if re.match(r"^--\s*name:", line):
            raise SqlError(f"{file.name}:{i + 1}: write `-- name: lower_case(parameter, ...)`")
    for start, end in itertools.pairwise(starts):
        header = _HEADER.match(lines[start])
        assert header is not None
        source = f"{file.name}:{start + 1}"
        first = next((i for i in range(start + 1, end) if not lines[i].startswith("--")), end)
        body = "\n".join(lines[first:end])
        if wrong := re.search(r"^--\s*name:", body, re.MULTILINE):
            raise SqlError(f"{source}: the block holds a malformed header: {wrong.group()}")
        if not body.strip():
            raise SqlError(f"{source}: {header['name']} has no SQL")
        listed = header["params"]
        declared = None if listed is None else tuple(p.strip() for p in listed.split(",") if p.strip())
        yield header["name"], declared, lines[start + 1 : first], body, source


def _target_ms(promise: str | None, name: str, source: str) -> float | None:
    if promise is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ms", promise)
    if not found:
        raise SqlError(f"{source}: {name}: write `-- target: 5 ms`")
    return float(found[1])


def _returns(promise: str | None, name: str, source: str) -> Returns:
    kinds: dict[str | None, Returns] = {"one": "one", "many": "many", "rows": "rows"}
    if promise in kinds:
        return kinds[promise]
    raise SqlError(f"{source}: {name}: write `-- returns: one`, `many` or `rows`")
