"""A call without an answer: was the request on its way already?

That is the one question that matters (a create may have landed), and the library between blurs it:
`httpx-aiohttp` reports a server that closed the connection after the request as `ConnectTimeout`. So the
cause beneath is asked.
"""

from __future__ import annotations

import aiohttp
import httpx

from bitbylaw_pipeline.clients.answer import Call
from bitbylaw_pipeline.domain.errors import OutcomeUnknown, SyncError, Unexpected, Unreachable

LOST = (httpx.TransportError, httpx.StreamError, aiohttp.ClientError, TimeoutError, ConnectionError)
"""What the transports raise. Other `OSError`s are not among them: a full disk is no fault of the system."""

_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


def lost_call(call: Call, error: BaseException, status: int | None) -> SyncError:
    """The error for a call without a whole answer; `status` is set once the answer had begun."""
    what = type(_root(error)).__name__
    if status is None and not _was_sent(error):
        return Unreachable(f"{call.system} cannot be reached ({call}: {what}).", system=call.system)
    if call.creates:
        return OutcomeUnknown(
            f"{call.system} did not finish its answer, so whether it carried out the call is unknown ({call}: {what}).",
            system=call.system,
            status=status,
        )
    if status is not None or isinstance(_root(error), aiohttp.ClientResponseError):
        return Unexpected(
            f"{call.system} sent an answer that broke off ({call}: {what}).",
            system=call.system,
            status=status,
        )
    return Unreachable(f"{call.system} did not answer ({call}: {what}).", system=call.system)


def _was_sent(error: BaseException) -> bool:
    root = _root(error)
    if isinstance(root, aiohttp.ClientError):
        return not isinstance(root, _BEFORE_SENDING)
    return not isinstance(
        root, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol
    )


def _root(error: BaseException) -> BaseException:
    """aiohttp's own error beneath httpx's, where there is one."""
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
