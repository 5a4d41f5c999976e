from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from support import Site

PATH = "/api/medications/frequency/parse"


async def parse(site: Site, body: object, role: str = "nurse") -> httpx.Response:
    return await site.client.post(PATH, json=body, headers=site.headers(role))


async def test_a_text_is_read(formulary: Site) -> None:
    answer = await parse(formulary, {"text": "1 tab every other day"})
    assert answer.status_code == 200
    said = answer.json()
    assert {name: said[name] for name in ("status", "frequency", "period", "periodUnit", "dosesPerDay")} == {
        "status": "ok",
        "frequency": 1,
        "period": 2,
        "periodUnit": "d",
        "dosesPerDay": "1/2",
    }
    assert {"times", "asNeeded", "code", "candidates", "reason"} <= said.keys()


async def test_every_public_case_over_http(formulary: Site, shared: Path) -> None:
    for case in json.loads((shared / "cases" / "frequency.json").read_text())["cases"]:
        said = (await parse(formulary, {"text": case["input"]})).json()
        assert said["status"] == case["expect"]["status"], case["id"]
        if "doses_per_day" in case["expect"]:
            assert said["dosesPerDay"] == case["expect"]["doses_per_day"], case["id"]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({}, "required"),
        ({"text": "x" * 501}, "max_length"),
        ({"text": 5}, "type"),
        ({"text": "bid", "x": 1}, "unknown"),
    ],
)
async def test_a_wrong_body_is_refused(formulary: Site, body: object, rule: str) -> None:
    refused = await parse(formulary, body)
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (422, rule)


@pytest.mark.parametrize(
    ("role", "status"), [("doctor", 200), ("pharmacist", 200), ("clerk", 403), ("admin", 403)]
)
async def test_who_may(formulary: Site, role: str, status: int) -> None:
    assert (await parse(formulary, {"text": "bid"}, role)).status_code == status
