"""Lists by page: the parameters that they take and the `pagination` that they answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar.params import QueryParameter

RANKED_CAP = 1_000  # a ranked search shows no more: who has not found it by then asks better

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000, description="which page, from 1")]
PageLimit = Annotated[int, QueryParameter(ge=1, le=100, description="rows on a page, at most 100")]


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    """Where a page stands in its list.

    Attributes:
        page: from 1; a page after the last is empty.
        limit: rows on a page.
        total: rows in all pages.
        total_is_capped: more rows match than `total` says; a ranked search counts and shows no more.
        pages: how many pages there are.
    """

    page: int
    limit: int
    total: int
    total_is_capped: bool
    pages: int


def paginate(page: int, limit: int, total: int, *, cap: int | None = None) -> Pagination:
    """Return the pagination of a list of `total` rows, of which at most `cap` are shown."""
    shown = total if cap is None else min(total, cap)
    return Pagination(page, limit, shown, shown < total, -(-shown // limit))


def page_size(page: int, limit: int, *, cap: int | None = None) -> tuple[int, int]:
    """Return how many rows to pass over and how many to fetch, so that no row after `cap` is shown."""
    past = (page - 1) * limit
    return past, limit if cap is None else max(0, min(limit, cap - past))
