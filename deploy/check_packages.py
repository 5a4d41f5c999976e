"""The supply chain, checked: every dependency pinned with hashes, known by name, and under a licence that we accept.

Needs no network; `check_vulnerabilities.py` does. `--write` adds new names of the locks to `packages.tsv`, to be read
by a person before they are committed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
ALLOWED = Path(__file__).with_name("packages.tsv")
_PINNED = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>.*)")
_FETCHES = re.compile(r"^(--(index-url|extra-index-url|find-links|trusted-host)|-[ief]\b)|://|@ ")
# Licences whose terms a service may accept: permissive ones, and weak copyleft of libraries that are not changed.
LICENCES = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "LGPL-3.0-only", "MIT"),
        *("MIT-0", "MPL-2.0", "PSF-2.0"),
    }
)
_SPELLINGS = (
    (r"apache", "Apache-2.0"),
    (r"mozilla|mpl", "MPL-2.0"),
    (r"lgpl|lesser", "LGPL-3.0-only"),
    (r"(?<!l)gpl|affero", "GPL"),
    (r"psf|python software", "PSF-2.0"),
    (r"isc", "ISC"),
    (r"mit", "MIT"),
    (r"bsd[ -]?2|2-clause", "BSD-2-Clause"),
    (r"bsd", "BSD-3-Clause"),
)


def pinned(lock: Path) -> tuple[dict[str, str], list[str]]:
    """Return name -> version of a lock, and what is wrong with it."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    text = lock.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = _PINNED.match(line)
        if _FETCHES.search(line) or not parts:
            wrong.append(f"{lock.name}: not a pinned package of the index: {line[:60]}")
            continue
        found[parts["name"]] = parts["version"]
        if "--hash=sha256:" not in parts["rest"]:
            wrong.append(f"{lock.name}: {parts['name']} has no hash")
    return found, wrong


def allowed() -> dict[str, str]:
    """Return name -> licence of the packages that somebody has looked at."""
    lines = ALLOWED.read_text().splitlines() if ALLOWED.exists() else []
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def licence_of(name: str) -> str | None:
    """Return the SPDX expression of an installed package's licence; None: it is not installed here."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [one for one in about.get_all("Classifier") or [] if one.startswith("License :: OSI")]
    for text in (*classifiers, (about.get("License") or "").splitlines()[:1]):
        for pattern, spdx in _SPELLINGS:
            if re.search(pattern, str(text), re.IGNORECASE):
                return spdx
    return "unknown"


def acceptable(expression: str) -> bool:
    """Tell whether one side of each OR, and both of each AND, is a licence that we accept."""
    choices = re.split(r"\s+OR\s+", expression.replace("(", "").replace(")", ""))
    return any(all(part in LICENCES for part in re.split(r"\s+AND\s+", choice)) for choice in choices)


def findings() -> Iterator[str]:
    """Yield everything that is wrong, one line each."""
    known = allowed()
    names: set[str] = set()
    for lock in LOCKS:
        found, wrong = pinned(lock)
        names |= found.keys()
        yield from wrong
    for name in sorted(names):
        if name not in known:
            yield f"{name}: not in deploy/packages.tsv; look at it, then run this with --write"
        elif not acceptable(known[name]):
            yield f"{name}: its licence {known[name]} is not one that we accept"
        elif licence_of(name) not in (None, known[name]):
            yield f"{name}: its licence is now {licence_of(name)}, was {known[name]}"
    yield from (
        f"{name}: in deploy/packages.tsv, but nothing needs it" for name in sorted(known.keys() - names)
    )


def write() -> None:
    """Add names of the locks to the list, with the licences of what is installed."""
    known = allowed()
    names = {name for lock in LOCKS for name in pinned(lock)[0]}
    rows = [f"{name}\t{known.get(name) or licence_of(name) or 'unknown'}" for name in sorted(names)]
    ALLOWED.write_text(
        "# Every package that an installation may hold, and its licence (SPDX).\n" + "\n".join(rows) + "\n"
    )


def main() -> int:
    """Print what is wrong; 1 where anything is."""
    if "--write" in sys.argv:
        write()
    wrong = list(findings())
    for line in wrong:
        sys.stdout.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
