"""What a server refuses, in the two shapes that clients know: OpenAI's and TGI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["NotServed", "ServingError", "openai_shape", "tgi_shape"]

# HTTP status → (OpenAI's type, TGI's error_type)
KINDS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "validation"),
    401: ("authentication_error", "authentication"),
    403: ("permission_error", "permission"),
    404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    413: ("invalid_request_error", "validation"),
    422: ("invalid_request_error", "validation"),
    424: ("server_error", "generation"),
    429: ("rate_limit_error", "overloaded"),
    500: ("server_error", "generation"),
    503: ("server_error", "unhealthy"),
}


class ServingError(EnfoldError):
    """A request that is not answered with what it asks for.

    Args:
        message: what is wrong and what was expected; clients read it.
        status: of HTTP.
        param: the field that is wrong, or None.
        code: a short name for programs, such as ``"context_length_exceeded"``, or None.
        retry_after: seconds after which asking again makes sense, or None.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code = message, status, param, code
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that go with the answer."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return {**found, "WWW-Authenticate": "Bearer"} if self.status == 401 else found


class NotServed(ServingError):
    """A model of that name is not served, or not for that."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 404, param="model", code="model_not_found")


def openai_shape(error: ServingError) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it.

    Example:
        >>> openai_shape(ServingError("n=0 must be at least 1", param="n"))["error"]["type"]
        'invalid_request_error'
    """
    kind = KINDS.get(error.status, KINDS[500])[0]
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def tgi_shape(error: ServingError) -> dict[str, Any]:
    """Return an error as TGI's clients and the Hub's inference client read it.

    Example:
        >>> tgi_shape(ServingError("the queue is full", 429))
        {'error': 'the queue is full', 'error_type': 'overloaded'}
    """
    return {"error": error.message, "error_type": KINDS.get(error.status, KINDS[500])[1]}
