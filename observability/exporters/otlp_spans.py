"""OTLP protobuf messages from spans: OpenTelemetry's own messages, each kind of span made once and kept.

Protobuf joins messages by joining their bytes. What is the same in all spans of a kind (name, kind, attributes,
status) is therefore encoded once; of each span only ids, times and what is its own are written anew, which costs a
tenth. Field numbers: `opentelemetry/proto/trace/v1/trace.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as t

from cito.observability import spans as s
from cito.observability.exporters.otlp import SCOPE, attributes_of

_KINDS = {
    s.SERVER: t.Span.SPAN_KIND_SERVER,
    s.CLIENT: t.Span.SPAN_KIND_CLIENT,
    s.CONSUMER: t.Span.SPAN_KIND_CONSUMER,
    s.INTERNAL: t.Span.SPAN_KIND_INTERNAL,
}
# trace_id (1), span_id (2), start_time_unix_nano (7), end_time_unix_nano (8), each with tag, and length where it has one.
_OWN = Struct("<2s16s2s8scQcQ").pack
_TRACE_ID, _SPAN_ID, _PARENT_ID, _START, _END = b"\x0a\x10", b"\x12\x08", b"\x22\x08", b"\x39", b"\x41"
_SPANS, _SCOPE_SPANS, _RESOURCE_SPANS = b"\x12", b"\x12", b"\x0a"  # where each stands in what is around it
_FIRST, _SECOND, _ATTRIBUTES = b"\x0a", b"\x12", b"\x4a"  # fields 1 and 2 of KeyValue and AnyValue, 9 of Span
_EACH_ITS_OWN = "cito.request_id"
_ITS_NAME = b"\x0a\x0f" + _EACH_ITS_OWN.encode()  # the key of a KeyValue, 15 bytes


def trace_request(spans: Iterable[s.Span], resource: Mapping[str, str]) -> bytes:
    """Return an encoded export request with these spans."""
    scope: bytes = t.ScopeSpans(scope=SCOPE).SerializeToString()
    scoped = scope + b"".join(_field(_SPANS, _span(span)) for span in spans)
    around = t.ResourceSpans(resource=Resource(attributes=attributes_of(resource))).SerializeToString()
    return _field(_RESOURCE_SPANS, around + _field(_SCOPE_SPANS, scoped))


def _span(span: s.Span) -> bytes:
    unhex = bytes.fromhex
    own = _OWN(
        _TRACE_ID,
        unhex(span.trace_id),
        _SPAN_ID,
        unhex(span.span_id),
        _START,
        span.start_ns,
        _END,
        span.end_ns,
    )
    parent = _PARENT_ID + unhex(span.parent_id) if span.parent_id else b""
    attributes = span.attributes
    request_id = attributes.get(_EACH_ITS_OWN)
    if request_id is None:
        return own + parent + _kind_of_span(span.name, span.kind, span.error, tuple(attributes.items()))
    shared = tuple((name, value) for name, value in attributes.items() if name != _EACH_ITS_OWN)
    value = _field(_FIRST, str(request_id).encode())
    extra = _field(_ATTRIBUTES, _ITS_NAME + _field(_SECOND, value))
    return own + parent + _kind_of_span(span.name, span.kind, span.error, shared) + extra


@lru_cache(maxsize=4_096)
def _kind_of_span(name: str, kind: str, error: str, attributes: tuple[tuple[str, str | int], ...]) -> bytes:
    """Return what all spans that are alike in this have in common."""
    status = t.Status.STATUS_CODE_ERROR if error else t.Status.STATUS_CODE_UNSET
    common = t.Span(
        name=name, kind=_KINDS[kind], attributes=attributes_of(dict(attributes)), status=t.Status(code=status)
    )
    body: bytes = common.SerializeToString()
    return body


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


def _length(count: int) -> bytes:
    """Return a length as protobuf writes it: seven bits a byte, the lowest first."""
    written = bytearray()
    while count > 0x7F:  # noqa: PLR2004 - seven bits
        written.append(count & 0x7F | 0x80)
        count >>= 7
    written.append(count)
    return bytes(written)
