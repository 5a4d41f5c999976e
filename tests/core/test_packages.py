from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(tmp_path: Path) -> ModuleType:
    """The script, looking at copies of the locks and of the list."""
    module = loaded("check_packages")
    copies = []
    for file in (*module.LOCKS, module.ALLOWED):
        copies.append(tmp_path / file.name)
        copies[-1].write_text(file.read_text())
    module.LOCKS, module.ALLOWED = tuple(copies[:2]), copies[2]  # type: ignore[attr-defined]
    return module


def test_every_package_is_pinned_known_and_acceptable(check: ModuleType) -> None:
    assert list(check.findings()) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("evil==1.0 --hash=sha256:00", "not in deploy/packages.tsv"),
        ("litestar==2.25.0", "has no hash"),
        ("litestar>=2", "not a pinned package"),
        ("--extra-index-url https://evil.example/simple", "not a pinned package"),
        ("litestar @ git+https://evil.example/x", "not a pinned package"),
        ("-e .", "not a pinned package"),
    ],
)
def test_what_should_not_be_in_a_lock_is_found(check: ModuleType, line: str, says: str) -> None:
    check.LOCKS[0].write_text(check.LOCKS[0].read_text() + line + "\n")
    assert any(says in finding for finding in check.findings())


def test_a_licence_that_we_do_not_accept_is_found(check: ModuleType) -> None:
    check.ALLOWED.write_text(check.ALLOWED.read_text().replace("litestar\tMIT", "litestar\tAGPL-3.0-only"))
    assert any("litestar: its licence AGPL-3.0-only" in finding for finding in check.findings())


def test_a_licence_that_changed_is_found(check: ModuleType) -> None:
    check.ALLOWED.write_text(check.ALLOWED.read_text().replace("litestar\tMIT", "litestar\tISC"))
    assert "litestar: its licence is now MIT, was ISC" in list(check.findings())


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND PSF-2.0", True),
        ("unknown", False),
        ("AGPL-3.0-only", False),
    ],
)
def test_expressions(check: ModuleType, expression: str, *, accepted: bool) -> None:
    assert check.acceptable(expression) is accepted


@pytest.mark.parametrize(
    ("report", "says", "found"),
    [
        (b"", ["skipped: no report from pip-audit: no answer in time"], False),
        (
            b'{"dependencies": [{"name": "a", "skip_reason": "not found"}]}',
            ["skipped: no network, or an index without advisories"],
            False,
        ),
        (
            b'{"dependencies": [{"name": "a", "skip_reason": "?"}, {"name": "b", "version": "1", "vulns": []}]}',
            ["not known to the index: a"],
            False,
        ),
        (b'{"dependencies": [{"name": "b", "version": "1", "vulns": []}]}', [], False),
        (
            b'{"dependencies": [{"name": "b", "version": "1", "vulns": [{"id": "V-1", "fix_versions": ["2"]}]}]}',
            ["b 1: V-1, corrected in 2"],
            True,
        ),
    ],
)
def test_known_vulnerabilities_fail_and_a_missing_network_says_so(
    report: bytes, says: list[str], *, found: bool
) -> None:
    assert loaded("check_vulnerabilities").verdict(report) == (says, found)


def test_why_nothing_was_checked_is_told() -> None:
    said = b"Traceback (most recent call last):\n  File x\nrequests.ConnectionError: no route to host\n"
    lines, found = loaded("check_vulnerabilities").verdict(b"", said)
    assert lines == ["skipped: no report from pip-audit: requests.ConnectionError: no route to host"]
    assert not found
