"""Hostile texts through every text field and every search that the OpenAPI document names, whatever plugin brings it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from support import CLINIC, OpenSite, Site, shipping

from cito.core.http.openapi_examples import example_of

HOSTILE = [
    "Robert'); drop table patient;--",
    "' or '1'='1",
    "$$; select pg_sleep(9) --",
    "%_\\%",
    '{"$gt": ""}',
    "'; return true; var x='",
    "{{7*7}} ${7*7} <%= 7*7 %> #{7*7}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "+1-1",
    "-2+3",
    "../../etc/passwd",
    "${jndi:ldap://x/a}",
    "%0d%0aSet-Cookie: a=b",
    "a\r\nSet-Cookie: a=b",
    "O\u2019Brien-\u00d1u\u00f1ez \u5f20\u4f1f",
    "\u202egnp.exe",
    "a\u0000b",
    "a\u0301\u0300 \ufb01 \u212b",
    "\U0001f9d1\u200d\u2695\ufe0f",
    "x" * 100,
    "\\x27; \\u0027",
]
ROLES = {"drugs:write": "pharmacist", "admin:write": "admin", "audit:read": "auditor", "admin:read": "admin"}
# What may be there once only: new each time where it must be sent, else left out.
FRESH, SPARED = {"name", "genericName"}, {"mrn", "ndc", "studentNumber"}
CODES = {"classes"}  # words of a vocabulary, kept in its spelling
STREAMS = {"performance_live"}
Path = tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One text field of one operation's body; `[]` in its path is the first of a list.

    Attributes:
        url: of the operation; where it ends with what is done to a thing, the thing is made anew for each request.
        collection: where such a thing is made.
    """

    method: str
    url: str
    collection: str
    role: str
    path: Path
    schema: dict[str, Any]
    example: Any

    def body(self, text: str, schemas: dict[str, Any]) -> Any:
        """The operation's example with the text in this field, and with fresh names elsewhere."""
        body = copy.deepcopy(self.example)
        renew(body)
        place, schema = body, self.schema
        for part, following in zip(self.path, (*self.path[1:], None), strict=True):
            schema = inner(schema, part, schemas)
            key: Any = 0 if part == "[]" else part
            if following is None:
                made: Any = text
            else:
                made = place[key] if has(place, key) else example_of(schema, schemas)
                made = made if isinstance(made, dict | list) else [] if following == "[]" else {}
            if isinstance(place, list):
                place[:1] = [made]
            else:
                place[key] = made
            place = made
        return body


def renew(body: dict[str, Any]) -> None:
    for name in FRESH & body.keys():
        body[name] = uuid4().hex[:12]
    for name in SPARED & body.keys():
        del body[name]


def has(place: Any, key: Any) -> bool:
    return (len(place) > 0) if isinstance(place, list) else place.get(key) is not None


def options(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that a schema may be, whatever way it is written: a reference, one of several."""
    if "$ref" in schema:
        yield from options(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    several = [one for name in ("allOf", "oneOf", "anyOf") for one in schema.get(name, ())]
    for one in several:
        yield from options(one, schemas)
    if not several and "$ref" not in schema:
        yield schema


def inner(schema: dict[str, Any], part: str, schemas: dict[str, Any]) -> dict[str, Any]:
    for whole in options(schema, schemas):
        if part == "[]" and "items" in whole:
            return whole["items"]  # type: ignore[no-any-return]
        if part in whole.get("properties", {}):
            return whole["properties"][part]  # type: ignore[no-any-return]
    raise KeyError(part)


def texts(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Path]:
    """The paths of all free texts in a schema."""
    for whole in options(schema, schemas):
        if "string" in whole.get("type", "") and not whole.keys() & {"format", "enum", "const"}:
            yield ()
        for name, one in whole.get("properties", {}).items():
            yield from ((name, *path) for path in texts(one, schemas))
        if "items" in whole:
            yield from (("[]", *path) for path in texts(whole["items"], schemas))


@pytest.fixture(scope="module")
async def site(open_site: OpenSite) -> Any:
    async with open_site() as opened:
        with psycopg.connect(opened.urls.admin) as connection:
            statement = "insert into clinic (id, name, time_zone, region, locale) values (%s, 'C', 'UTC', 'US', 'en-US')"
            connection.execute(statement, [CLINIC])
        async with shipping(opened):
            yield opened


@pytest.fixture(scope="module")
async def document(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = (await site.client.get("/docs/openapi.json")).json()
    return found


async def make(site: Site, document: dict[str, Any], collection: str) -> str:
    """A new thing in a collection; returns its URL."""
    operation = document["paths"][collection]["post"]
    body = copy.deepcopy(operation["requestBody"]["content"]["application/json"]["example"])
    renew(body)
    role = ROLES.get(operation["x-scope"], "doctor")
    answer = await site.client.post(collection, json=body, headers=site.headers(role))
    assert answer.status_code == 201, answer.text
    return f"{collection}/{answer.json()['id']}"


@pytest.fixture(scope="module")
async def fields(site: Site, document: dict[str, Any]) -> list[Field]:
    found = []
    made: dict[str, str] = {}
    for url, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            content = operation["requestBody"]["content"]["application/json"]
            collection, one_thing, rest = url.partition("/{")
            done_to_it = rest.partition("}")[2]
            if one_thing and not done_to_it and collection not in made:
                made[collection] = await make(site, document, collection)
            where = done_to_it or (made[collection] if one_thing else url)
            role = ROLES.get(operation["x-scope"], "doctor")
            found += [
                Field(method, where, collection, role, path, content["schema"], content["example"])
                for path in dict.fromkeys(texts(content["schema"], document["components"]["schemas"]))
            ]
    return found


def value_at(body: Any, path: Path) -> Any:
    """What an answer has at a path; None: it does not show this field."""
    for part in path:
        if part == "[]":
            body = body[0] if body else None
        else:
            body = body.get(part) if isinstance(body, dict) else None
    return body


@pytest.mark.parametrize("each", [9, pytest.param(1, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_text_is_stored_and_returned_as_text_or_refused(
    site: Site, document: dict[str, Any], fields: list[Field], text: str, each: int
) -> None:
    """Every text through every field, or in the quick run every field with a few of them."""
    assert len(fields) > 40
    wrong = []
    for number, field in enumerate(fields):
        if (number + HOSTILE.index(text)) % each:
            continue
        own = await make(site, document, field.collection) if field.url.count("/") == 1 else ""
        answer = await site.client.request(
            field.method,
            own + field.url,
            json=field.body(text, document["components"]["schemas"]),
            headers=site.headers(field.role, **{"If-Match": "*"}),
        )
        where = f"{field.method} {field.url} {'.'.join(field.path)}: {answer.status_code}"
        assert not any("\r" in value or "\n" in value for value in answer.headers.values())
        if answer.status_code == 422:
            named = "".join(error["field"] for error in answer.json()["errors"][:1])
            if field.path[0] not in named or (len(text) > 4 and text in answer.text):
                wrong.append(f"{where} {answer.text}")
        elif answer.status_code in (200, 201):
            if value_at(answer.json(), field.path) not in (text, None) and field.path[0] not in CODES:
                wrong.append(f"{where} {answer.text}")
        elif answer.status_code != 204 and not (
            answer.status_code == 409 and field.path[-1] in FRESH | SPARED
        ):
            wrong.append(f"{where} {answer.text}")
    assert wrong == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_search_finds_nothing_and_breaks_nothing(
    site: Site, document: dict[str, Any], text: str
) -> None:
    tried = 0
    for url, operations in document["paths"].items():
        operation = operations.get("get", {})
        if not (url.startswith("/api") and operation) or operation["operationId"] in STREAMS:
            continue
        role = ROLES.get(operation["x-scope"], "doctor")
        for one in operation.get("parameters", ()):
            if one["in"] == "query" and () in texts(one["schema"], document["components"]["schemas"]):
                needed = {
                    other["name"]: "x"
                    for other in operation["parameters"]
                    if other["in"] == "query" and other.get("required")
                }
                answer = await site.client.get(
                    url, params={**needed, one["name"]: text}, headers=site.headers(role)
                )
                assert answer.status_code in (200, 422), answer.text
                tried += 1
    assert tried >= 10
    with psycopg.connect(site.urls.admin) as connection:
        assert connection.execute("select to_regclass('public.patient') is not null").fetchone() == (True,)
