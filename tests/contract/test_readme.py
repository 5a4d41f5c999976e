"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support import OpenSite

from cito.core.seeding import run_seeds, seeds_in_order

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shown(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if containing in block)


async def test_the_first_request_has_the_answer_shown(open_site: OpenSite) -> None:
    async with open_site(plugins=("medications",)) as site:
        await run_seeds(site.urls.owner, seeds_in_order(site.assembly.registry), None, lambda *_: None)
        path = re.search(r"127\.0\.0\.1:8000(/api/[^']+)", shown("console", "curl"))
        assert path is not None
        answer = (await site.client.get(path[1], headers=site.headers())).json()
    expected = json.loads(shown("json", "medications"))
    for medicine in (answer["medications"][0], expected["medications"][0]):
        medicine.pop("id")  # made anew with each seeding
    assert answer == expected


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
