"""One POST to an exporter's endpoint, from a thread of its own: kept connection, deadline, plain outcomes."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

Sign = Callable[[str, bytes, Mapping[str, str]], Mapping[str, str]]
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_MOST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a POST: taken, worth another try (after so many seconds, where the server says), or refused."""

    taken: bool
    retry: bool = False
    retry_after_seconds: float | None = None
    status: int = 0
    body: bytes = b""


class Endpoint:
    """Where bodies are posted to.

    Args:
        url: http or https.
        headers: sent with each.
        timeout_seconds: for connecting and for each wait on the answer.
        sign: adds headers made from url, body and headers, such as AWS's signature.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], *, timeout_seconds: float = 10.0, sign: Sign | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"exporter endpoint {url!r}: an http or https URL")
        self._url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(headers)
        self._timeout = timeout_seconds
        self._sign = sign
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float | None = None) -> Outcome:
        """Post a body; whatever goes wrong on the way is an outcome, not an exception."""
        sent = {**self._headers, **headers}
        if self._sign is not None:
            sent |= self._sign(self._url, body, sent)
        reused = self._connection is not None
        try:
            return self._exchange(body, sent, timeout_seconds)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A kept connection that the server has closed meanwhile says nothing about the server.
            if reused and isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                try:
                    return self._exchange(body, sent, timeout_seconds)
                except (OSError, http.client.HTTPException):
                    self.close()
            return Outcome(taken=False, retry=True)

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float | None) -> Outcome:
        connection = self._connect(timeout_seconds or self._timeout)
        connection.request("POST", self._path, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
        if answer.will_close:
            self.close()
        retry = answer.status in _RETRYABLE
        after = answer.headers.get("retry-after", "")
        return Outcome(
            taken=200 <= answer.status < 300,  # noqa: PLR2004 - 2xx
            retry=retry,
            retry_after_seconds=min(float(after), _MOST_WAIT_SECONDS) if retry and after.isdigit() else None,
            status=answer.status,
            body=content,
        )

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._connection is None:
            if self._secure:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout, context=ssl.create_default_context()
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection
