"""Each list and search answers within the number of queries that its route declares, cold and warm."""

from __future__ import annotations

import pytest

from cito.core.declarations import RULES_KEY
from cito.core.refusals import route_operations

QUESTIONS = {
    "/api/medications": {"search": "aspirin 81 mg"},
    "/api/medications/autocomplete": {"query": "asp"},
    "/api/patients": {"search": "smith"},
    "/api/drugs": {"search": "ibu"},
}


@pytest.mark.parametrize("question", [False, True])
async def test_a_route_keeps_to_its_budget(site, question):
    scopes = site.assembly.registry.scopes
    asked = 0
    for _, method, path, handler in route_operations(site.assembly.registry):
        if method != "GET" or "{" in path or "live" in path:
            continue
        roles = [role for role, held in scopes.items() if handler.opt[RULES_KEY].scope in held]
        params = QUESTIONS.get(path, {}) if question or path.endswith("autocomplete") else {}
        for role in roles[:1]:
            for _ in range(2):
                answer = await site.client.get(path, params=params, headers=site.headers(role))
                asked += answer.status_code == 200
    assert asked >= 6
    assert site.budgets.over == set()


async def test_a_route_over_its_budget_is_named(site, monkeypatch):
    monkeypatch.setitem(site.budgets._allowed, "search_formulary", 0)
    monkeypatch.setattr(site.budgets, "over", set())
    for role in ("nurse", "clerk"):
        await site.client.get(
            "/api/medications", params={"search": f"zinc {role}"}, headers=site.headers(role)
        )
    (said,) = {line.split(",")[0] for line in site.budgets.over}
    assert said == "search_formulary may run 0 queries"
