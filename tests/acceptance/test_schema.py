"""The schema of everything that is installed keeps clinics apart."""

from __future__ import annotations

from cito.core.database.tenancy import tenancy_violations


async def test_no_table_key_view_or_function_lets_clinics_meet(site):
    assert [f"{v.name}: {v.broken}" for v in await tenancy_violations(site.urls.owner)] == []
