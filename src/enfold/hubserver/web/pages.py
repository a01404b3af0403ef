"""The pages that people see: the list of repositories, and one page for each."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Routes

__all__ = ["error_page", "repository", "top"]

top, repository = Routes(), Routes()


def error_page(error: HubServerError) -> Response:
    """Return an error as people read it."""
    return JSONResponse({"error": error.message}, error.status)
