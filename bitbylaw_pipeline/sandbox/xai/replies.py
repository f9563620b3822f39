"""The two error dialects: flat text on api.x.ai, grpc-gateway on management-api.x.ai (`facts/xai.md` 6)."""

from __future__ import annotations

from typing import Any

INVALID_ARGUMENT = "Client specified an invalid argument"
NOT_FOUND = "Some requested entity was not found"
NO_PERMISSION = "The caller does not have permission to execute the specified operation"
UNAUTHENTICATED = "The request does not have valid authentication credentials for the operation"
EXHAUSTED = "Some resource has been exhausted"
INTERNAL = "Internal error"

OUT_OF_CREDITS = (
    "Your team has either used all available credits or reached its monthly spending limit. To continue making "
    "API requests, please purchase more credits or raise your spending limit."
)
UNREADABLE = "File format not supported. The file does not contain readable text."

_HTTP_OF_GRPC = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 12: 501, 13: 500, 14: 503, 16: 401}
GRPC_NAMES = {
    3: "InvalidArgument",
    5: "NotFound",
    6: "AlreadyExists",
    7: "PermissionDenied",
    9: "FailedPrecondition",
}


class ApiError(Exception):
    """An answer other than 2xx: `payload` is JSON, or plain text if it is a str."""

    def __init__(self, status: int, payload: Any) -> None:
        super().__init__(status)
        self.status = status
        self.payload = payload


def files_error(status: int, code: str, error: str) -> ApiError:
    """An error of api.x.ai."""
    return ApiError(status, {"code": code, "error": error})


class ManagementError(ApiError):
    """An error of management-api.x.ai, by its gRPC code."""

    def __init__(self, grpc_code: int, message: str) -> None:
        super().__init__(_HTTP_OF_GRPC[grpc_code], {"code": grpc_code, "message": message, "details": []})
        self.grpc_code = grpc_code
        self.message = message
