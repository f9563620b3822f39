"""Who is let in: every way that a signature or a secret can be wrong, and the few in which it is right."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from bitbylaw_pipeline.inbox import webhooks
from tests.receiver.conftest import Bench
from tests.receiver.deliveries import (
    DOCUMENT_CREATE,
    DOCUMENT_FIELD,
    DOCUMENT_UPDATE,
    JSON,
    OWNER_UPDATE,
    REPLACED_LATELY,
    REPLACED_LONG_AGO,
    SHARED_SECRET,
    UPDATE,
    Signer,
    encoded,
    listed,
)

GOOD = DOCUMENT_UPDATE
BODY = listed("d1")
Headers = dict[str, str] | list[tuple[str, Any]]

LINK_BODY = (
    b'{"entityType":"CDokumente","id":"d1","foreignEntityType":"Account","foreignId":"a1","link":"accounts"}'
)


def _only(signature: str, name: str = "signature") -> dict[str, str]:
    return JSON | {name: signature}


def _with_digest(digest: bytes, name: str = "signature") -> Headers:
    return _only(encoded(GOOD.webhook_id, digest), name)


def _hex(key: bytes, body: bytes, algorithm: Any = hashlib.sha256) -> bytes:
    return hmac.new(key, body, algorithm).hexdigest().encode()


def _looser(signature: str) -> str:
    """Another spelling of the same bytes: the unused last bits of the last character set."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stem = signature.rstrip("=")
    return stem[:-1] + letters[letters.index(stem[-1]) + 1] + "=" * (len(signature) - len(stem))


def _url_safe() -> Headers:
    """A raw signature in base64's other alphabet (of a body whose signature differs in it)."""
    return _only(GOOD.raw_header(_odd_body()).translate(str.maketrans("+/", "-_")), "x-signature")


def _odd_body() -> bytes:
    return next(body for n in range(1000) if {"+", "/"} & set(GOOD.raw_header(body := listed(f"d{n}"))))


SECRET = GOOD.secret.encode()
DIGEST = GOOD.digest(BODY)
HEX = DIGEST.hex().encode()
STRANGER = Signer("6b02a2157ffffffff", "CDokumente.update", GOOD.secret)

FORGED: dict[str, Headers] = {
    "nothing at all": JSON,
    "Signature empty": _only(""),
    "X-Signature empty": _only("", "x-signature"),
    "Signature twice": [*JSON.items(), *[("signature", GOOD.hex_header(BODY))] * 2],
    "X-Signature twice": [*JSON.items(), *[("x-signature", GOOD.raw_header(BODY))] * 2],
    "Signature twice, one false": [
        *JSON.items(),
        ("signature", GOOD.hex_header(BODY)),
        ("signature", OWNER_UPDATE.hex_header(BODY)),
    ],
    "unknown webhook": STRANGER.headers(BODY),
    "right id, wrong secret": Signer(GOOD.webhook_id, GOOD.event, "0" * 32).headers(BODY),
    "right id, no secret": Signer(GOOD.webhook_id, GOOD.event, "").headers(BODY),
    "secret of another webhook": Signer(GOOD.webhook_id, GOOD.event, DOCUMENT_CREATE.secret).headers(BODY),
    "id of another webhook": Signer(DOCUMENT_FIELD.webhook_id, GOOD.event, GOOD.secret).headers(BODY),
    "secret's hex read as bytes": _with_digest(_hex(bytes.fromhex(GOOD.secret), BODY)),
    "secret in upper case": Signer(GOOD.webhook_id, GOOD.event, GOOD.secret.upper()).headers(BODY),
    "id in upper case": Signer(GOOD.webhook_id.upper(), GOOD.event, GOOD.secret).headers(BODY),
    "digest in upper case": _with_digest(HEX.upper()),
    "raw digest in Signature": _with_digest(DIGEST),
    "hex digest in X-Signature": _with_digest(HEX, "x-signature"),
    "not base64": _only(f"{GOOD.webhook_id}:{HEX.decode()}"),
    "base64 without padding": _only(GOOD.hex_header(BODY).rstrip("=")),
    "base64 with too much padding": _only(GOOD.hex_header(BODY) + "="),
    "base64 with a blank in it": _only(GOOD.hex_header(BODY)[:40] + " " + GOOD.hex_header(BODY)[40:]),
    "base64 with a tab behind": _only(GOOD.hex_header(BODY) + "\t"),
    "base64 spelt otherwise": _only(_looser(GOOD.hex_header(BODY))),
    "base64 twice": _only(base64.b64encode(GOOD.hex_header(BODY).encode()).decode()),
    "something after the base64": _only(GOOD.hex_header(BODY) + ",x"),
    "digest cut in half": _with_digest(HEX[:32]),
    "digest empty": _with_digest(b""),
    "digest with more behind": _with_digest(HEX + b"0"),
    "digest with NUL": _with_digest(HEX[:-1] + b"\0"),
    "digest prefixed as elsewhere": _with_digest(b"sha256=" + HEX),
    "header cut off": _only(GOOD.hex_header(BODY)[:60]),
    "header of 64 kB": _only("A" * 65536),
    "no colon": _only(base64.b64encode(GOOD.webhook_id.encode() + HEX).decode()),
    "no id": _only(encoded("", HEX)),
    "id with NUL": _only(encoded(GOOD.webhook_id + "\0", HEX)),
    "id with ../": _only(encoded("../" + GOOD.webhook_id, HEX)),
    "id with blanks": _only(encoded(f" {GOOD.webhook_id} ", HEX)),
    "SHA-1": _with_digest(_hex(SECRET, BODY, hashlib.sha1)),
    "SHA-512": _with_digest(_hex(SECRET, BODY, hashlib.sha512)),
    "plain hash instead of HMAC": _with_digest(hashlib.sha256(SECRET + BODY).hexdigest().encode()),
    "key and body swapped": _with_digest(_hex(BODY, SECRET)),
    "HMAC of nothing": _with_digest(_hex(SECRET, b"")),
    "keyed by the id": _with_digest(_hex(GOOD.webhook_id.encode(), BODY)),
    "one bit of the body changed": GOOD.headers(bytes([BODY[0] ^ 1]) + BODY[1:]),
    "body serialised anew": GOOD.headers(BODY.replace(b": ", b":")),
    "body with BOM": GOOD.headers(b"\xef\xbb\xbf" + BODY),
    "body in UTF-16": GOOD.headers(BODY.decode().encode("utf-16")),
    "body with a line end": GOOD.headers(BODY + b"\n"),
    "body cut off": GOOD.headers(BODY[:-1]),
    "replaced long ago": REPLACED_LONG_AGO.headers(BODY),
    "X-Signature false beside a true Signature": _only(GOOD.hex_header(BODY))
    | {"x-signature": OWNER_UPDATE.raw_header(BODY)},
    "Signature false beside a true X-Signature": GOOD.headers(BODY)
    | {"signature": GOOD.hex_header(BODY + b" ")},
    "two true signatures of two webhooks": GOOD.headers(BODY)
    | {"x-signature": DOCUMENT_FIELD.raw_header(BODY)},
    "shared secret wrong": JSON | {"x-webhook-secret": SHARED_SECRET[::-1]},
    "shared secret empty": JSON | {"x-webhook-secret": ""},
    "shared secret cut off": JSON | {"x-webhook-secret": SHARED_SECRET[:-1]},
    "shared secret with more behind": JSON | {"x-webhook-secret": SHARED_SECRET + "x"},
    "shared secret in upper case": JSON | {"x-webhook-secret": SHARED_SECRET.upper()},
    "shared secret twice": [*JSON.items(), *[("x-webhook-secret", SHARED_SECRET)] * 2],
    "shared secret of other letters": [*JSON.items(), ("x-webhook-secret", "schlüssel".encode())],
    "shared secret wrong beside a true signature": GOOD.headers(BODY) | {"x-webhook-secret": "wrong"},
    "shared secret right beside a false signature": STRANGER.headers(BODY)
    | {"x-webhook-secret": SHARED_SECRET},
    "shared secret as a bearer token": JSON | {"authorization": f"Bearer {SHARED_SECRET}"},
    "shared secret as a cookie": JSON | {"cookie": f"X-Webhook-Secret={SHARED_SECRET}"},
    "Signature of other letters": [*JSON.items(), ("signature", "Ünterschrift".encode())],
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_request_is_refused(name: str, signed_bench: Bench) -> None:
    """Whatever is wrong with the credentials: 401, one sentence, and nothing stored."""
    response = signed_bench.post(UPDATE, BODY, FORGED[name])
    assert response.status_code == 401
    assert response.json()["error"].endswith(".")
    assert signed_bench.is_untouched()


def test_the_other_base64_alphabet_is_refused(signed_bench: Bench) -> None:
    """The same digest in the URL-safe alphabet is not EspoCRM's form."""
    assert signed_bench.post(UPDATE, _odd_body(), _url_safe()).status_code == 401
    assert signed_bench.post(UPDATE, _odd_body(), GOOD.headers(_odd_body())).status_code == 202


def test_a_secret_in_the_address_is_refused(signed_bench: Bench) -> None:
    """Credentials count in the headers alone: addresses end up in logs."""
    address = f"{UPDATE}?X-Webhook-Secret={SHARED_SECRET}"
    assert signed_bench.post(address, BODY, JSON).status_code == 401


@pytest.mark.parametrize(
    ("signer", "path", "body"),
    [
        (DOCUMENT_UPDATE, "/vmh/webhook/document/create", BODY),
        (DOCUMENT_UPDATE, "/vmh/webhook/document/delete", BODY),
        (DOCUMENT_CREATE, UPDATE, BODY),
        (DOCUMENT_FIELD, "/vmh/webhook/document/delete", BODY),
        (DOCUMENT_UPDATE, "/vmh/webhook/raeumungsklage/update", BODY),
        (OWNER_UPDATE, UPDATE, BODY),
        (OWNER_UPDATE, "/vmh/webhook/account/update", BODY),
        (DOCUMENT_UPDATE, "/vmh/webhook/entity/link", LINK_BODY),
        (OWNER_UPDATE, "/vmh/webhook/entity/unlink", LINK_BODY),
    ],
)
def test_a_signature_counts_on_its_own_address_only(
    signed_bench: Bench, signer: Signer, path: str, body: bytes
) -> None:
    """A true signature sent to another address than its webhook's is refused."""
    assert signed_bench.post(path, body, signer.headers(body)).status_code == 401
    assert signed_bench.is_untouched()


ACCEPTED: dict[str, tuple[str, Headers]] = {
    "both signatures": (UPDATE, GOOD.headers(BODY)),
    "Signature alone": (UPDATE, _only(GOOD.hex_header(BODY))),
    "X-Signature alone": (UPDATE, _only(GOOD.raw_header(BODY), "x-signature")),
    "header names in upper case": (UPDATE, JSON | {"SIGNATURE": GOOD.hex_header(BODY)}),
    "replaced a while ago": (UPDATE, REPLACED_LATELY.headers(BODY)),
    "a field's webhook": (UPDATE, DOCUMENT_FIELD.headers(BODY)),
    "an owner's webhook": ("/vmh/webhook/raeumungsklage/update", OWNER_UPDATE.headers(BODY)),
    "shared secret": (UPDATE, JSON | {"x-webhook-secret": SHARED_SECRET}),
    "shared secret and a true signature": (UPDATE, GOOD.headers(BODY) | {"x-webhook-secret": SHARED_SECRET}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_true_request_is_accepted(name: str, signed_bench: Bench) -> None:
    """What EspoCRM sends, and what a hook with the shared secret sends, is stored."""
    path, headers = ACCEPTED[name]
    assert signed_bench.post(path, BODY, headers).status_code == 202
    assert len(signed_bench.stored()) == 1


def test_without_a_shared_secret_nobody_knows_it(signed_bench: Bench) -> None:
    """With no shared secret set, an empty or any other one is refused, and signatures count as before."""
    for given in ("", SHARED_SECRET):
        headers = JSON | {"x-webhook-secret": given}
        assert signed_bench.post(UPDATE, BODY, headers, webhook_shared_secret="").status_code == 401
    assert signed_bench.post(UPDATE, BODY, GOOD.headers(BODY), webhook_shared_secret="").status_code == 202


def test_unsigned_requests_pass_only_if_told_so(signed_bench: Bench) -> None:
    """WEBHOOK_ALLOW_UNSIGNED lets requests without credentials in, and still no false ones."""
    assert signed_bench.post(UPDATE, BODY, JSON, webhook_allow_unsigned=True).status_code == 202
    forged = STRANGER.headers(BODY)
    assert signed_bench.post(UPDATE, BODY, forged, webhook_allow_unsigned=True).status_code == 401


def test_a_removed_webhook_is_refused(signed_bench: Bench) -> None:
    """A webhook that was removed counts no more."""
    database = signed_bench.database
    database.run_sync(lambda connection: webhooks.remove(connection, GOOD.webhook_id))
    assert signed_bench.post(UPDATE, BODY, GOOD.headers(BODY)).status_code == 401
