"""From a database row to a msgspec struct: one field a column, in order."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

import msgspec

_AS_LOADED = (str, int, bool, UUID, datetime, date, time, timedelta, Decimal, bytes, typing.Any)
MakeRow = Callable[[Sequence[typing.Any]], typing.Any]


@lru_cache(maxsize=1024)
def row_maker(row: type[msgspec.Struct]) -> MakeRow:
    """Return the function that makes a struct of a row's values.

    JSON columns become the field's own type (a struct, a list of them), text becomes an enumeration's member.
    """
    hints = typing.get_type_hints(row)
    converted = [
        (i, hints[name]) for i, name in enumerate(row.__struct_fields__) if not _loads_as_is(hints[name])
    ]
    if not converted:
        return lambda values: row(*values)

    def make(values: Sequence[typing.Any]) -> msgspec.Struct:
        out = list(values)
        for i, kind in converted:
            if out[i] is not None:
                out[i] = msgspec.convert(out[i], kind, strict=False)
        return row(*out)

    return make


def _loads_as_is(kind: typing.Any) -> bool:
    """Whether psycopg's own loader gives this type already, whatever holds it."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _loads_as_is(args[0])
    if origin is list:
        return _loads_as_is(args[0])
    if origin is not None and type(None) in args:
        return all(_loads_as_is(a) for a in args if a is not type(None))
    return kind in _AS_LOADED
