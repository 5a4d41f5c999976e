"""OTLP protobuf messages from records: OpenTelemetry's own messages, each template of a span encoded once and kept.

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

from cito.core.telemetry import Record
from cito.observability import spans as s
from cito.observability.exporters.otlp import SCOPE, attributes_of

_KINDS = {
    s.SERVER: t.Span.SPAN_KIND_SERVER,
    s.CLIENT: t.Span.SPAN_KIND_CLIENT,
    s.CONSUMER: t.Span.SPAN_KIND_CONSUMER,
    s.INTERNAL: t.Span.SPAN_KIND_INTERNAL,
}
# Each with its tag, and its length where it has one: span_id (2), parent_span_id (4), start and end in ns (7, 8).
_STEP = Struct("<2s8s2s8scQcQ").pack
_ROOT = Struct("<2s8scQcQ").pack
_TRACE_ID, _SPAN_ID, _PARENT_ID, _START, _END = b"\x0a\x10", b"\x12\x08", b"\x22\x08", b"\x39", b"\x41"
_STEP_LENGTH = 18 + 10 + 10 + 9 + 9  # of all of these, trace_id (1) included
_SPANS, _SCOPE_SPANS, _RESOURCE_SPANS = b"\x12", b"\x12", b"\x0a"  # where each stands in what is around it
_FIRST, _SECOND, _ATTRIBUTES = b"\x0a", b"\x12", b"\x4a"  # fields 1 and 2 of KeyValue and AnyValue, 9 of Span
_REQUEST_ID = b"\x0a\x0fcito.request_id"  # the key of a KeyValue


def trace_request(records: Iterable[Record], resource: Mapping[str, str]) -> bytes:
    """Return an encoded export request with the spans of these records."""
    scoped: list[bytes] = [t.ScopeSpans(scope=SCOPE).SerializeToString()]
    for record in records:
        root, *steps = s.spans_of(record)
        trace_id = _TRACE_ID + bytes.fromhex(record.trace_id)
        scoped.append(_field(_SPANS, trace_id + _root(root, record.request_id)))
        for span_id, parent_id, start, end, template in steps:
            head, tail = _step(template)
            own = _STEP(_SPAN_ID, span_id, _PARENT_ID, parent_id, _START, start, _END, end)
            scoped += (head, trace_id, own, tail)
    around = t.ResourceSpans(resource=Resource(attributes=attributes_of(resource))).SerializeToString()
    return _field(_RESOURCE_SPANS, around + _field(_SCOPE_SPANS, b"".join(scoped)))


def _root(span: s.Span, request_id: str) -> bytes:
    encoded = _ROOT(_SPAN_ID, span.span_id, _START, span.start_ns, _END, span.end_ns) + _common(span.template)
    if span.parent_id:
        encoded += _PARENT_ID + span.parent_id
    if request_id:
        encoded += _field(_ATTRIBUTES, _REQUEST_ID + _field(_SECOND, _field(_FIRST, request_id.encode())))
    return encoded


@lru_cache(maxsize=4_096)
def _step(template: s.Template) -> tuple[bytes, bytes]:
    """Return what stands before and after a step's own ids and times."""
    common = _common(template)
    return _SPANS + _length(_STEP_LENGTH + len(common)), common


@lru_cache(maxsize=4_096)
def _common(template: s.Template) -> bytes:
    status = t.Status.STATUS_CODE_ERROR if template.error else t.Status.STATUS_CODE_UNSET
    common = t.Span(
        name=template.name,
        kind=_KINDS[template.kind],
        attributes=attributes_of(template.attributes),
        status=t.Status(code=status),
    )
    body: bytes = common.SerializeToString()
    return body


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


@lru_cache(maxsize=4_096)
def _length(count: int) -> bytes:
    """Return a length as protobuf writes it: seven bits a byte, the lowest first."""
    written = bytearray()
    while count > 0x7F:  # noqa: PLR2004 - seven bits
        written.append(count & 0x7F | 0x80)
        count >>= 7
    written.append(count)
    return bytes(written)
