"""Every hook is documented with its exact signature, used by a plugin of ours, and named in a test."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from cito.core.builtin import Core
from cito.core.hookspecs import Plugin
from cito.core.registry import GROUP, HOOKS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_part_of_the_documentation_is_as_the_code_says(generator: ModuleType) -> None:
    stale = [path.name for path in generator.pages() if path.read_text() != generator.rendered(path)]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(generator: ModuleType, hook: str) -> None:
    assert f"### `{generator.hook_signatures()[hook]}`" in (ROOT / "docs" / "plugins.md").read_text()
    assert getattr(Plugin, hook).__doc__


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_user_that_ships(hook: str) -> None:
    points = [point for point in distribution("cito").entry_points if point.group == GROUP]
    kinds = [Core, *(type(point.load()) for point in points)]
    users = [kind for kind in kinds if getattr(kind, hook) is not getattr(Plugin, hook)]
    assert users, "no hook without a user"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_named_in_a_test(hook: str) -> None:
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    assert any(re.search(rf"\b{hook}\b", path.read_text()) for path in tests)


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)(?:#(?P<anchor>[^)\s]+))?\)")


def test_every_link_of_the_documentation_leads_somewhere(generator: ModuleType) -> None:
    broken = []
    for page in generator.pages():
        for link in LINK.finditer(page.read_text()):
            target = page.parent / link["path"]
            if not target.exists():
                broken.append(f"{page.name}: {link['path']}")
            elif link["anchor"]:
                headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                if link["anchor"] not in anchors:
                    broken.append(f"{page.name}: {link['path']}#{link['anchor']}")
    assert not broken
