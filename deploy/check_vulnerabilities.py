"""Known vulnerabilities of the pinned versions, by pip-audit. 1 where there is one; no network is no failure.

The advisories come from PyPI. Where it, or its answer about a package, is not to be had (offline, or behind a mirror
without advisories), the line `skipped: ...` says so, rather than a clean bill that nobody gave.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-dev.lock")
TIMEOUT_SECONDS = 180


class Advisory(msgspec.Struct):
    """One known vulnerability."""

    id: str
    fix_versions: list[str] = []


class Dependency(msgspec.Struct):
    """One pinned package: what is known of it, or why nothing is."""

    name: str
    version: str = ""
    skip_reason: str | None = None
    vulns: list[Advisory] = []


class Report(msgspec.Struct):
    """What pip-audit prints as JSON."""

    dependencies: list[Dependency]


def verdict(output: bytes, errors: bytes = b"") -> tuple[list[str], bool]:
    """Return what to print about pip-audit's answer, and whether a vulnerability was found.

    Args:
        output: what pip-audit wrote to stdout; without a report nobody was asked.
        errors: what it wrote to stderr; its last line says why there is no report.
    """
    try:
        report = msgspec.json.decode(output, type=Report)
    except msgspec.DecodeError:
        why = errors.decode(errors="replace").strip().rpartition("\n")[2] or "no answer in time"
        return [f"skipped: no report from pip-audit: {why}"], False
    unknown = [one.name for one in report.dependencies if one.skip_reason]
    if len(unknown) == len(report.dependencies):
        return ["skipped: no network, or an index without advisories"], False
    lines = [
        f"{one.name} {one.version}: {advisory.id}, corrected in {', '.join(advisory.fix_versions) or 'no version yet'}"
        for one in report.dependencies
        for advisory in one.vulns
    ]
    if unknown:
        lines.append(f"not known to the index: {', '.join(unknown)}")
    return lines, any(one.vulns for one in report.dependencies)


def ask() -> tuple[bytes, bytes]:
    """Run pip-audit on the locks; returns its report, empty where it could not ask, and what it said besides."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    for lock in LOCKS:
        command += ["--requirement", str(lock)]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603 - fixed
    except subprocess.TimeoutExpired:
        return b"", b""
    return asked.stdout, asked.stderr


def main() -> int:
    """Print what is known; 1 where a pinned version is vulnerable."""
    lines, found = verdict(*ask())
    for line in lines or ["none"]:
        sys.stdout.write(f"known vulnerabilities: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
