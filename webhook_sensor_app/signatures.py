"""EspoCRM's signatures: what a header claims, and whether that is true of the bytes received.

    Signature   = base64(webhookId ":" hex(HMAC-SHA256(secretKey, rawBody)))    since 9.0
    X-Signature = base64(webhookId ":" HMAC-SHA256(secretKey, rawBody))         until 11.0

(`facts/espocrm.md` 11, verified over recorded deliveries.) There is no timestamp in it, so a request can be replayed
for ever: replays cost a cheap check and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.document import is_record_id

HEADER = "signature"
RAW_HEADER = "x-signature"
_LONGEST = 512
"""Characters; a true one has 112."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature header claims: that the holder of this webhook's secret signed the body."""

    webhook_id: str
    digest: bytes = field(repr=False)
    is_hex: bool

    def is_true(self, secret: bytes, body: bytes | bytearray) -> bool:
        """Compares in constant time."""
        mac = hmac.new(secret, body, hashlib.sha256)
        true_digest = mac.hexdigest().encode("ascii") if self.is_hex else mac.digest()
        return hmac.compare_digest(self.digest, true_digest)


def read_claim(value: str, *, is_hex: bool) -> Claim | None:
    """The claim in a header's value, None if it has not exactly EspoCRM's form."""
    if len(value) > _LONGEST:
        return None
    try:
        given = value.encode("ascii")
        decoded = base64.b64decode(given, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    if base64.b64encode(decoded) != given:
        # Several spellings of one signature would be several names for one request.
        return None
    webhook_id, separator, digest = decoded.partition(b":")
    name = webhook_id.decode("latin-1")
    if not separator or not is_record_id(name):
        return None
    return Claim(name, digest, is_hex)
