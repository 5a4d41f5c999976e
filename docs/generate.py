"""Writes the generated parts of the documentation: reference from the code, snippets from code that tests run.

`python docs/generate.py` rewrites them, `make docs` calls it; a test compares, so none can go stale. A generated
part stands between `<!-- what argument -->` and `<!-- end -->`:

    cut PATH "first line"     that line of a file and what follows, up to the next line that begins a section
    hooks                     every hook with its signature, and who of ours uses it
    declarations              every declaration with its fields
    settings                  every key of cito.toml with its default
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from inspect import cleandoc, getsource
from pathlib import Path

import msgspec

from cito.core import declarations, hookspecs
from cito.core.builtin import Core
from cito.core.registry import HOOKS, installed, load_registry
from cito.core.settings import Settings

ROOT = Path(__file__).parents[1]
OURS = ("cito", "(none)")  # the core's own plugin has no distribution
_PART = re.compile(
    r"(<!-- (?P<what>cut|hooks|declarations|settings)(?: (?P<rest>[^>]*?))? -->\n).*?(<!-- end -->)",
    re.DOTALL,
)
_SECTION = re.compile(r"^(?:# |-- name: )", re.MULTILINE)
_LANGUAGE = {".py": "python", ".sql": "sql", ".toml": "toml"}


def main() -> int:
    """Rewrite every Markdown file that has generated parts; say which were stale."""
    stale = [path for path in pages() if path.read_text() != rendered(path)]
    for path in stale:
        path.write_text(rendered(path))
        sys.stdout.write(f"rewrote {path.relative_to(ROOT)}\n")
    return 0


def pages() -> list[Path]:
    """Return the Markdown files of the repository's own documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def rendered(path: Path) -> str:
    """Return a page with its generated parts as they should be."""

    def part(found: re.Match[str]) -> str:
        what, rest = found["what"], found["rest"] or ""
        return f"{found[1]}{PARTS[what](rest)}{found[4]}"

    return _PART.sub(part, path.read_text())


def cut(rest: str) -> str:
    """Return a section of a file as a code block."""
    path, _, first = rest.partition(" ")
    source = ROOT / path
    text, first = source.read_text(), first.strip('"')
    start = text.index(first) if first else 0
    following = _SECTION.search(text, start + max(1, len(first)))
    section = text[start : following.start() if following and first else len(text)]
    return f"```{_LANGUAGE[source.suffix]}\n{section.strip()}\n```\n"


def hooks(_: str) -> str:
    """Return the hooks in the order in which Cito calls them."""
    ours = [one for one in load_registry(installed(), extra=[Core()]).plugins if one.distribution in OURS]
    out = []
    for name, function in _functions(hookspecs.Plugin).items():
        users = [
            one.name for one in ours if getattr(type(one.plugin), name) is not getattr(hookspecs.Plugin, name)
        ]
        out.append(f"### `{signature(function)}`\n\n{cleandoc(ast.get_docstring(function) or '')}\n")
        out.append(f"Used by: {', '.join(f'`{user}`' for user in users) or 'no plugin of ours yet'}.\n")
    return "\n".join(out) + "\n"


def signature(function: ast.FunctionDef) -> str:
    """Return a hook's signature as it is written in `hookspecs.py`."""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({ast.unparse(function.args)}){returns}"


def _functions(kind: type) -> dict[str, ast.FunctionDef]:
    (tree,) = ast.parse(getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in HOOKS}


def hook_signatures() -> dict[str, str]:
    """Return the signature of every hook by its name."""
    return {name: signature(function) for name, function in _functions(hookspecs.Plugin).items()}


def described_declarations(_: str) -> str:
    """Return the declarations, each with its docstring."""
    out = []
    for node in ast.parse(Path(declarations.__file__).read_text()).body:
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            fields = [
                ast.unparse(item).replace("'", '"') for item in node.body if isinstance(item, ast.AnnAssign)
            ]
            doc = re.sub(
                r"\n\nAttributes:\n(.*)",
                lambda m: "\n\n" + _bullets(m[1]),
                ast.get_docstring(node) or "",
                flags=re.DOTALL,
            )
            shape = "\n".join(fields)
            out.append(f"### {node.name}\n\n```python\n{shape}\n```\n\n{doc}\n")
    return "\n".join(out) + "\n"


def _bullets(attributes: str) -> str:
    return re.sub(r"^ {4}(\w+):", r"- `\1`:", attributes.replace("\n        ", "\n  "), flags=re.MULTILINE)


def settings(_: str) -> str:
    """Return every key with its default."""
    rows = ["| key | default |", "|---|---|"]
    for field in msgspec.structs.fields(Settings):
        value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        if isinstance(value, msgspec.Struct):
            rows += [
                f"| `{field.name}.{name}` | {_default(one)} |"
                for name, one in msgspec.structs.asdict(value).items()
            ]
        else:
            rows.append(f"| `{field.name}` | {_default(value)} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


PARTS: dict[str, Callable[[str], str]] = {
    "cut": cut,
    "hooks": hooks,
    "declarations": described_declarations,
    "settings": settings,
}

if __name__ == "__main__":
    raise SystemExit(main())
