"""Who may send: EspoCRM by the signature of a registered webhook, hooks written by hand by a shared secret."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from starlette.datastructures import Headers

from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.addresses import Address, LinkAddress
from webhook_sensor_app.refusal import Refusal
from webhook_sensor_app.registrations import Registrations
from webhook_sensor_app.signatures import HEADER, RAW_HEADER, Claim, read_claim

SECRET_HEADER = "x-webhook-secret"  # noqa: S105 - a header's name


def _refused(reason: str) -> Refusal:
    # One sentence for all: which part is wrong helps nobody but a forger. The log has the reason.
    return Refusal(401, "The signature or secret is not valid for this address.", reason)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """Credentials of a request whose body is still to come."""

    sender: str
    """A webhook's id, "shared-secret" or "unsigned": for the log."""
    _claims: tuple[tuple[Claim, bytes], ...] = field(default=(), repr=False)

    def verify(self, body: bytes | bytearray) -> None:
        """Raises Refusal (401) unless every signature is true of the body."""
        if not all(claim.is_true(secret, body) for claim, secret in self._claims):
            raise _refused("wrong_signature")


class Credentials:
    """Judges the headers before the body is read, so that a stranger cannot make us hold one."""

    def __init__(self, settings: Settings, registrations: Registrations) -> None:
        self._secret = settings.webhook_shared_secret.get_secret_value().encode()
        self._allows_unsigned = settings.webhook_allow_unsigned
        self._registrations = registrations

    async def check(self, headers: Headers, address: Address | LinkAddress) -> SignedHead:
        """Every credential that is there must hold, and one must be there; raises Refusal (401).

        Raises DatabaseUnavailable or TimeoutError if the registered webhooks cannot be read.
        """
        secrets = headers.getlist(SECRET_HEADER)
        given = [(value, is_hex) for name, is_hex in ((HEADER, True), (RAW_HEADER, False))
                 for value in headers.getlist(name)]  # fmt: skip
        if not secrets and not given:
            return self._check_unsigned()
        if len(secrets) > 1 or len(headers.getlist(HEADER)) > 1 or len(headers.getlist(RAW_HEADER)) > 1:
            raise _refused("given_twice")
        for secret in secrets:
            self._check_secret(secret)
        if not given:
            return SignedHead("shared-secret")
        return await self._check_signatures(given, address)

    def _check_unsigned(self) -> SignedHead:
        if self._allows_unsigned:
            return SignedHead("unsigned")
        raise Refusal(
            401,
            "The request is not signed: send EspoCRM's Signature header, or the shared secret as X-Webhook-Secret.",
            "unsigned",
        )

    def _check_secret(self, given: str) -> None:
        if not self._secret or not hmac.compare_digest(given.encode("latin-1"), self._secret):
            raise _refused("wrong_secret")

    async def _check_signatures(
        self, given: list[tuple[str, bool]], address: Address | LinkAddress
    ) -> SignedHead:
        claims = [read_claim(value, is_hex=is_hex) for value, is_hex in given]
        first = claims[0]
        if first is None or any(claim is None or claim.webhook_id != first.webhook_id for claim in claims):
            raise _refused("malformed_signature")
        registration = await self._registrations.find(first.webhook_id)
        if registration is None:
            raise _refused("unknown_webhook")
        if not address.fits(registration.event):
            raise _refused("other_address")
        secret = registration.secret
        return SignedHead(first.webhook_id, tuple((claim, secret) for claim in claims if claim is not None))
