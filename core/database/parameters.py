"""From a parameter struct to the bytes on the wire: checked against its own types before any SQL.

Values travel as text of unknown type, so that PostgreSQL infers each type from the statement alone: one
prepared statement for each query, whatever the values, and no guess that loses an index.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from uuid import UUID

import msgspec

from cito.core.errors import FieldError, Invalid

Wire = bytes | None
Dump = Callable[[typing.Any], Wire]


class ParameterError(Invalid):
    """A value of the wrong type or length; names query, parameter and rule, never the value."""


class Binder:
    """Turns structs of one type into the parameters of one query.

    Raises:
        TypeError: the struct's fields are not the query's parameters, or a field's type is unknown here.
    """

    def __init__(self, query: str, names: tuple[str, ...], struct: type[msgspec.Struct]) -> None:
        fields = typing.get_type_hints(struct, include_extras=True)
        if set(struct.__struct_fields__) != set(names):
            raise TypeError(f"{query}: {struct.__name__} has other fields than ({', '.join(names)})")
        self._query = query
        self._dumps = [(name, attrgetter(name), dumper(fields[name], f"{query}.{name}")) for name in names]

    def bind(self, params: msgspec.Struct) -> list[Wire]:
        """Return the values in the order of the parameters.

        Raises:
            ParameterError: a value of another type than declared, too long, or one PostgreSQL cannot hold.
        """
        try:
            return [dump(get(params)) for _, get, dump in self._dumps]
        except (TypeError, ValueError):
            raise self._first_wrong(params) from None

    def _first_wrong(self, params: msgspec.Struct) -> ParameterError:
        for name, get, dump in self._dumps:
            try:
                dump(get(params))
            except UnicodeEncodeError:
                return self._refusal(name, "is not valid text")
            except (TypeError, ValueError) as error:
                return self._refusal(name, str(error))
        raise AssertionError

    def _refusal(self, name: str, said: str) -> ParameterError:
        return ParameterError(
            f"{self._query}: parameter {name}: {said}", errors=(FieldError(name, "parameter", said),)
        )


def dumper(declared: typing.Any, where: str) -> Dump:
    """Return the function that checks and encodes values of a declared type: scalars, lists, `X | None`, JSON."""
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Annotated:
        return _limited(dumper(args[0], where), args[1:])
    if origin in (typing.Union, types.UnionType):
        rest = [a for a in args if a is not types.NoneType]
        if len(rest) == 1:
            return _optional(dumper(rest[0], where))
    if origin in (list, tuple, frozenset, set):
        return _array(dumper(args[0], where))
    if origin is typing.Literal and all(isinstance(a, str) for a in args):
        return _one_of(frozenset(args))
    if origin is dict or (isinstance(declared, type) and issubclass(declared, msgspec.Struct | dict)):
        return msgspec.json.encode
    if isinstance(declared, type):
        if issubclass(declared, Enum):
            return _enumeration(declared)
        if declared in _SCALARS:
            return _scalar(declared, _SCALARS[declared])
    raise TypeError(f"{where}: parameters of type {declared} are not supported")


def _text(value: str) -> bytes:
    if "\0" in value:
        raise ValueError("holds a NUL character")
    return value.encode()


def _moment(value: datetime) -> bytes:
    if value.tzinfo is None:
        raise ValueError("a time without its zone")
    return value.isoformat().encode()


def _integer(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise ValueError("outside 64 bits")
    return b"%d" % value


_SCALARS: dict[type, Callable[[typing.Any], bytes]] = {
    str: _text,
    UUID: lambda v: v.hex.encode(),
    int: _integer,
    float: lambda v: repr(v).encode(),
    bool: lambda v: b"t" if v else b"f",
    Decimal: lambda v: str(v).encode(),
    datetime: _moment,
    date: lambda v: v.isoformat().encode(),
    time: lambda v: v.isoformat().encode(),
    timedelta: lambda v: f"{v.days} days {v.seconds}.{v.microseconds:06} seconds".encode(),
    bytes: lambda v: b"\\x" + v.hex().encode(),
}


def _scalar(kind: type, encode: Callable[[typing.Any], bytes]) -> Dump:
    accepted: tuple[type, ...] = (float, int) if kind is float else (kind,)

    def dump(value: object) -> bytes:
        # `type is` rather than isinstance: a bool is no int here, a datetime no date.
        if type(value) not in accepted and not (kind is UUID and isinstance(value, UUID)):
            raise TypeError(f"is {type(value).__name__}, not {kind.__name__}")
        return encode(value)

    return dump


def _optional(inner: Dump) -> Dump:
    return lambda value: None if value is None else inner(value)


def _one_of(allowed: frozenset[str]) -> Dump:
    def dump(value: object) -> bytes:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError("is none of the declared values")
        return value.encode()

    return dump


def _enumeration(kind: type[Enum]) -> Dump:
    def dump(value: object) -> bytes:
        if not isinstance(value, kind):
            raise TypeError(f"is {type(value).__name__}, not {kind.__name__}")
        return str(value.value).encode()

    return dump


def _array(inner: Dump) -> Dump:
    def element(value: object) -> bytes:
        text = inner(value)
        if text is None:
            return b"NULL"
        return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'

    def dump(value: object) -> bytes:
        if not isinstance(value, list | tuple | frozenset | set):
            raise TypeError(f"is {type(value).__name__}, not a list")
        return b"{" + b",".join(map(element, value)) + b"}"

    return dump


def _limited(inner: Dump, extras: tuple[object, ...]) -> Dump:
    """Hold the `msgspec.Meta` limits of an annotated field."""
    meta = next((e for e in extras if isinstance(e, msgspec.Meta)), None)
    if meta is None:
        return inner

    def dump(value: typing.Any) -> Wire:
        encoded = inner(value)
        if value is not None:
            if meta.max_length is not None and len(value) > meta.max_length:
                raise ValueError(f"longer than {meta.max_length}")
            if meta.min_length is not None and len(value) < meta.min_length:
                raise ValueError(f"shorter than {meta.min_length}")
            if (meta.ge is not None and value < meta.ge) or (meta.le is not None and value > meta.le):
                raise ValueError("outside its range")
        return encoded

    return dump
