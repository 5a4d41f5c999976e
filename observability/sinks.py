"""Where alerts are told: the log, and a webhook that is signed, retried and safe to receive twice."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import deque
from pathlib import Path

import msgspec

from cito.observability.alert import Alert
from cito.observability.exporters.http import Endpoint

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
MOST_WAITING = 1_000


def tell_log(alert: Alert) -> None:
    """Write one line when an alert begins, one when it ends."""
    level = logging.INFO if alert.status == "resolved" else logging.WARNING
    log.log(
        level,
        "alert %s: %s",
        alert.status,
        alert.summary,
        extra={
            "alert": alert.name,
            "alertId": alert.id,
            "subject": alert.subject,
            "value": alert.value,
            "limit": alert.limit,
        },
    )


class Webhook:
    """Posts alerts as JSON, in order, from a thread of its own, until each was taken.

    `X-Cito-Delivery` is the same for every try of one message: a receiver that has seen it may ignore it.
    `X-Cito-Signature` is `t=<seconds>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` with the shared secret; a receiver
    refuses old times, so that a message cannot be played again later.

    Args:
        url: http or https.
        secret: shared with the receiver.

    Attributes:
        dropped: messages that will never arrive: refused for good, or too many waited.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self._endpoint = Endpoint(url, {"content-type": "application/json"}, timeout_seconds=5.0)
        self._secret = secret
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._told: deque[str] = deque(maxlen=MOST_WAITING)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="cito-webhook", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def tell(self, alert: Alert) -> None:
        """Queue a message; the same alert in the same status is told once. Never waits."""
        delivery = f"{alert.id}-{alert.status}"
        if delivery in self._told:
            return
        self._told.append(delivery)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((delivery, msgspec.json.encode(alert)))
        self._wake.set()

    def stop(self, seconds: float = 2.0) -> None:
        """Tell what waits, as far as one try each goes."""
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        while not self._stopping or self._waiting:
            self._wake.wait()
            self._wake.clear()
            tries = 0
            while self._waiting:
                delivery, body = self._waiting[0]
                outcome = self._endpoint.post(body, self._headers(delivery, body))
                if outcome.taken or not outcome.retry:
                    if not outcome.taken:
                        self.dropped += 1
                        log.warning("the webhook refused an alert", extra={"status": outcome.status})
                    self._waiting.popleft()
                    tries = 0
                    continue
                if self._stopping:
                    self._endpoint.close()
                    return
                pause = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
                tries += 1
                self._wake.wait(max(pause, outcome.retry_after_seconds or 0.0))
                self._wake.clear()
        self._endpoint.close()

    def _headers(self, delivery: str, body: bytes) -> dict[str, str]:
        return {
            "x-cito-delivery": delivery,
            "x-cito-signature": signature(self._secret, body, int(time.time())),
        }


def signature(secret: bytes, body: bytes, at: int) -> str:
    """Return the value of `X-Cito-Signature` for a body sent at `at` (seconds since the epoch)."""
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def webhook_secret(configured: str | None, home: Path) -> bytes:
    """Return the configured secret, or the one kept in the home's keys, made when first needed."""
    if configured:
        return configured.encode()
    path = home / "keys" / "webhook"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.touch(0o600)
        fresh.write_text(secrets.token_hex(32))
        fresh.rename(path)
    return path.read_text().strip().encode()
