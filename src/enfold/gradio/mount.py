"""A page below a path of another application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from enfold.errors import nearest
from enfold.gradio.routes import App, Settings
from enfold.gradio.transfers import existing

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["mount_gradio_app"]


def mount_gradio_app(
    app: Any,
    blocks: Blocks,
    path: str,
    server_name: str = "0.0.0.0",
    server_port: int = 7860,
    *,
    auth: Any = None,
    auth_message: str | None = None,
    auth_dependency: Any = None,
    root_path: str | None = None,
    show_error: bool = True,
    favicon_path: str | None = None,
    footer_links: list[Any] | None = None,
    allowed_paths: list[str] | None = None,
    blocked_paths: list[str] | None = None,
    max_file_size: str | int | None = None,
    i18n: Any = None,
    mcp_server: bool | None = None,
    pwa: bool | None = None,
    enable_monitoring: bool | None = None,
    **looks: Any,
) -> Any:
    """Show a page under a path of a FastAPI or Starlette application.

    Args:
        app: the application.
        blocks: the page.
        path: where, such as "/demo".
        server_name, server_port: accepted; the application's own server decides.
        auth, auth_message, auth_dependency, root_path, show_error, favicon_path, footer_links, allowed_paths,
            blocked_paths, max_file_size, i18n, mcp_server, pwa, enable_monitoring: as for ``launch``.
        looks: see :class:`enfold.gradio.blocks.Looks`.

    Returns:
        The application.
    """
    from enfold.gradio.launch import NOTHING_TO_DO, Looks, asked_mcp

    for name in looks:
        if name not in Looks.__annotations__ and name not in NOTHING_TO_DO:
            raise TypeError(f"mount_gradio_app() has no argument {name!r}{nearest(name, Looks.__annotations__)}")
    blocks.looks |= {
        name: value for name, value in looks.items() if name in Looks.__annotations__ and value is not None
    }
    blocks.i18n = i18n or blocks.i18n
    settings = Settings(
        auth=auth,
        auth_message=auth_message,
        auth_dependency=auth_dependency,
        root_path=(root_path or "").rstrip("/"),
        show_error=show_error,
        favicon=Path(favicon_path) if favicon_path else None,
        footer_links=["api"] if footer_links is None else list(footer_links),
        allowed_paths=existing(allowed_paths),
        blocked_paths=existing(blocked_paths),
        max_file_size=max_file_size,
        mcp=asked_mcp(mcp_server),
        pwa=bool(pwa),
        monitoring=bool(enable_monitoring),
    )
    blocks.app = App(blocks, settings)
    if blocks.app.monitoring is not None:
        print(f"* Monitoring: {path.rstrip('/')}/monitoring/{blocks.app.monitoring.key}", flush=True)
    path = "/" + path.strip("/")
    if path != "/":
        # Relative addresses on the page need the slash at its end.
        async def with_slash(request: HTTPRequest) -> Response:
            return RedirectResponse(request.scope.get("root_path", "") + path + "/")

        app.router.routes.append(Route(path, with_slash))
    app.mount(path, blocks.app)
    return app
