"""The API's documentation: OpenAPI 3.1 at `/docs/openapi.json`, and a page at `/docs` that needs no network.

The page is RapiDoc (MIT, its licence beside it), shipped with the package as one compressed file.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from cito.core.http.openapi_problems import Document

_SCRIPT_PATH = "/docs-assets/rapidoc.js"
_SCRIPT = (files("cito.core.http") / "assets" / "rapidoc.js.gz").read_bytes()
_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Cito API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script type="module" src="{_SCRIPT_PATH}"></script></head>
<body><rapi-doc spec-url="/docs/openapi.json" load-fonts="false" render-style="read" show-header="false"
schema-description-expanded="true" allow-spec-file-download="true"></rapi-doc></body>
</html>
"""


class Page(OpenAPIRenderPlugin):
    """Renders the page at the root of the documentation; its content policy is in `headers`."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page; its script fetches the document."""
        del request, openapi_schema
        return _PAGE.encode()


@get(_SCRIPT_PATH, operation_id="documentation_script", include_in_schema=False, sync_to_thread=False)
def script() -> Response[bytes]:
    """Return the page's script, compressed as it is shipped."""
    return Response(
        _SCRIPT,
        media_type="text/javascript",
        headers={"Content-Encoding": "gzip", "Cache-Control": "public, max-age=86400"},
    )


def openapi_config(roles: Mapping[str, frozenset[str]], version: str) -> OpenAPIConfig:
    """Return how the document is made.

    Args:
        roles: role -> scopes; shown as a table at the document's head.
        version: of Cito.
    """
    return OpenAPIConfig(
        title="Cito",
        version=version,
        description=_description(roles),
        path="/docs",
        render_plugins=[Page(), Document()],
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        security=[{"bearer": []}],
    )


def _description(roles: Mapping[str, frozenset[str]]) -> str:
    """Return the access table in Markdown: one row a scope, one column a role."""
    names = sorted(roles)
    scopes = sorted({scope for held in roles.values() for scope in held})
    rows = [
        f"| `{scope}` | {' | '.join('yes' if scope in roles[name] else '' for name in names)} |"
        for scope in scopes
    ]
    return "\n".join(
        [
            "Errors are problem documents (RFC 9457) that name the field and the rule. The clinic comes from the",
            "token alone.",
            "",
            "## Who may what",
            "",
            f"| scope | {' | '.join(names)} |",
            f"|---|{'---|' * len(names)}",
            *rows,
        ]
    )
