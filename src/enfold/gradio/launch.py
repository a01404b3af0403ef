"""Launching: a page on an address, from the moment it is asked for until it is closed."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from enfold.errors import EnfoldError, nearest
from enfold.gradio.block import BlockContext

if TYPE_CHECKING:
    from enfold.gradio.i18n import I18n
    from enfold.gradio.routes import App
    from enfold.web.server import BackgroundServer

__all__ = ["NOTHING_TO_DO", "Launched", "Looks", "asked_mcp", "close_all"]

_launched: weakref.WeakSet[Launched] = weakref.WeakSet()


def close_all(verbose: bool = True) -> None:
    """End the servers of all pages that this process has launched.

    Args:
        verbose: whether each says so.
    """
    for page in list(_launched):
        if page.is_running:
            if verbose:
                print(f"Closing server running on port: {page.server_port}", flush=True)
            page.close()


class Looks(TypedDict, total=False):
    """How a page looks, accepted by ``Blocks`` and by ``launch``.

    ``theme``: one of :mod:`enfold.gradio.themes`, or its name. ``css``: a style sheet, or ``css_paths`` files of them.
    ``js``: a JavaScript function that runs when the page has loaded. ``head``: HTML for the page's head, or
    ``head_paths`` files of it.
    """

    theme: Any
    css: str | None
    css_paths: str | Path | Sequence[str | Path] | None
    js: str | None
    head: str | None
    head_paths: str | Path | Sequence[str | Path] | None


class Launched(BlockContext):
    """What a page does to be shown: :class:`~enfold.gradio.Blocks` is one."""

    looks: dict[str, Any]
    i18n: I18n | None = None
    server: BackgroundServer | None
    app: App | None
    local_url: str | None

    def launch(
        self,
        inline: bool | None = None,
        inbrowser: bool = False,
        share: bool | None = None,
        debug: bool = False,
        max_threads: int = 40,
        auth: Callable[[str, str], bool] | tuple[str, str] | list[tuple[str, str]] | None = None,
        auth_message: str | None = None,
        prevent_thread_lock: bool = False,
        show_error: bool = False,
        server_name: str | None = None,
        server_port: int | None = None,
        *,
        quiet: bool = False,
        root_path: str | None = None,
        state_session_capacity: int = 10_000,
        favicon_path: str | Path | None = None,
        footer_links: list[Any] | None = None,
        show_api: bool | None = None,
        ssl_keyfile: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile_password: str | None = None,
        app_kwargs: dict[str, Any] | None = None,
        allowed_paths: str | Path | Sequence[str | Path] | None = None,
        blocked_paths: str | Path | Sequence[str | Path] | None = None,
        max_file_size: str | int | None = None,
        auth_dependency: Callable[[Any], Any] | None = None,
        pwa: bool | None = None,
        enable_monitoring: bool | None = None,
        i18n: I18n | None = None,
        mcp_server: bool | None = None,
        height: int | str = 500,
        width: int | str = "100%",
        **looks: Any,
    ) -> tuple[App, str, str | None]:
        """Serve the page over HTTP.

        Args:
            inbrowser: whether to open it in the browser.
            share: public links are not offered; True raises an error that says what to do instead.
            debug: whether to wait in a notebook as well.
            max_threads: threads for functions that are not coroutines.
            auth: who may use it: ``(name, password)``, a list of them, or a function that judges the two.
            auth_message: text above the login.
            auth_dependency: instead of ``auth``, a function or coroutine that is given each request and tells who sends
                it: their name, or None, which is answered by 401.
            enable_monitoring: whether there is a page that tells how the functions are doing; its address, which has a
                key in it, is printed and is nowhere else.
            pwa: whether browsers may install the page as an application (``manifest.json``).
            prevent_thread_lock: return at once; otherwise the call waits until Ctrl-C or :meth:`close`.
            show_error: whether visitors see the text of unexpected errors.
            server_name: the address to serve on: 127.0.0.1, or ``GRADIO_SERVER_NAME``; "0.0.0.0" for the network.
            server_port: the port; 0 for any free one; None for ``GRADIO_SERVER_PORT``, or the first free from 7860.
            quiet: whether to print nothing.
            root_path: where a proxy shows the page, such as "/demo" or a whole address.
            state_session_capacity: visitors whose state is remembered.
            favicon_path: an image file for the browser's tab.
            footer_links: what the page's foot shows: "api", and ``{"label": ..., "url": ...}``.
            show_api: older spelling: False leaves "api" out of ``footer_links``.
            ssl_keyfile, ssl_certfile, ssl_keyfile_password: for https.
            allowed_paths: files and folders that any visitor may read and functions may show, beside the working and
                the temporary folder.
            blocked_paths: files and folders that nobody may, whatever else is allowed.
            i18n: texts in several languages; see :class:`~enfold.gradio.I18n`.
            mcp_server: whether the endpoints are tools for language models at ``/gradio_api/mcp``; when None,
                ``GRADIO_MCP_SERVER`` says.
            max_file_size: the largest upload, in bytes or as a text such as "5mb".
            inline: whether the page is shown below a notebook's cell; when None, in notebooks.
            height, width: of that frame, in pixels or any CSS length.
            app_kwargs: accepted; the application takes no options.
            looks: see :class:`Looks`; also the ecosystem's arguments that have nothing to change here
                (``ssr_mode``, ``node_port`` …).

        Returns:
            ``(app, local_url, share_url)``: the ASGI application, its address, None.

        Raises:
            EnfoldError: the port is taken, or ``share=True``.
            MissingExtra: the web server's packages are not installed.
        """
        from enfold.gradio.routes import App, Settings
        from enfold.gradio.transfers import existing

        if share:
            raise EnfoldError(
                "share=True needs a public relay, which enfold does not run: use server_name='0.0.0.0' for the local "
                "network, or put a reverse proxy or an ssh tunnel before the page"
            )
        for name in looks:
            if name not in Looks.__annotations__ and name not in NOTHING_TO_DO:
                known = [*Looks.__annotations__, *NOTHING_TO_DO, "server_port", "server_name", "prevent_thread_lock"]
                raise TypeError(f"launch() has no argument {name!r}{nearest(name, known)}")
        self.looks |= {
            name: value for name, value in looks.items() if name in Looks.__annotations__ and value is not None
        }
        if self.server is not None:
            self.close()
        self.i18n = i18n or self.i18n
        links = ["api"] if footer_links is None else list(footer_links)
        settings = Settings(
            auth=auth,
            auth_message=auth_message,
            auth_dependency=auth_dependency,
            pwa=bool(pwa),
            monitoring=bool(enable_monitoring),
            show_error=show_error,
            root_path=(root_path or os.environ.get("GRADIO_ROOT_PATH") or "").rstrip("/"),
            session_capacity=state_session_capacity,
            max_threads=max_threads,
            favicon=Path(favicon_path) if favicon_path else None,
            footer_links=[link for link in links if link != "api" or show_api is not False],
            allowed_paths=existing(allowed_paths),
            blocked_paths=existing(blocked_paths),
            max_file_size=max_file_size,
            mcp=asked_mcp(mcp_server),
        )
        host = server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
        from enfold.web.origin import is_loopback

        if is_loopback(host) and host not in {"0.0.0.0", "::"}:
            settings.hosts = [host, *([urlsplit(settings.root_path).netloc] if "://" in settings.root_path else [])]
        app = App(self, settings)  # type: ignore[arg-type]
        secure = {
            "ssl_keyfile": ssl_keyfile,
            "ssl_certfile": ssl_certfile,
            "ssl_keyfile_password": ssl_keyfile_password,
        }
        options = {name: value for name, value in secure.items() if value is not None}
        self.server = serve_on(self.served(app), host, server_port, options)
        _launched.add(self)
        self.app, self.server_name, self.server_port = app, host, self.server.port
        self.local_url = self.server.url.replace("http:", "https:" if options else "http:") + "/"
        if not quiet:
            print(f"* Running on local URL:  {self.local_url.rstrip('/')}", flush=True)
        if app.monitoring is not None:
            print(f"* Monitoring URL: {self.local_url}monitoring/{app.monitoring.key}", flush=True)
        if inbrowser:
            import webbrowser

            webbrowser.open(self.local_url)
        from enfold.gradio import notebook

        if inline or (inline is None and notebook.in_notebook()):
            notebook.show(self.local_url, width, height)
        # `python -i` and notebooks keep the prompt, as long as nobody asks to wait.
        prompt = bool(getattr(sys, "ps1", None) or sys.flags.interactive)
        if not prevent_thread_lock and (debug or not prompt):
            self.block_thread()
        return app, self.local_url, None

    def served(self, app: App) -> Any:
        """The ASGI application that :meth:`launch` serves: the page's own, or what another one makes of it."""
        return app

    def block_thread(self) -> None:
        """Wait until the server ends; Ctrl-C ends it."""
        try:
            if self.server is not None:
                self.server.wait()
        except KeyboardInterrupt:
            print("Keyboard interruption in main thread... closing server.", flush=True)
            self.close()

    def close(self, verbose: bool = True) -> None:
        """End the server; a second call does nothing."""
        server, self.server = self.server, None
        if server is not None:
            if self.app is not None:
                self.app.end()
            server.stop()

    @property
    def is_running(self) -> bool:
        """Whether the page is being served."""
        return self.server is not None and self.server.running


# Arguments of launch() that concern what is not here to be changed: notebooks' frames, a second server for rendering,
# relays, monitoring pages that are off.
NOTHING_TO_DO = frozenset(
    {
        "ssl_verify",
        "app_kwargs",
        "run_history",
        "share_server_address",
        "share_server_protocol",
        "share_server_tls_certificate",
        "strict_cors",
        "node_server_name",
        "node_port",
        "ssr_mode",
        "num_workers",
        "enable_queue",
    }
)


def asked_mcp(given: bool | None) -> bool:
    """Whether to serve tools: as given, or as the environment says."""
    return os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true" if given is None else given


def _asked_port() -> int | None:
    asked = os.environ.get("GRADIO_SERVER_PORT", "")
    return int(asked) if asked.isdigit() else None


def serve_on(app: Any, host: str, port: int | None, options: dict[str, Any]) -> BackgroundServer:
    """Serve on a port: 0 for any free one, None for the environment's, or the first free from 7860."""
    from enfold.web.server import BackgroundServer

    asked = port if port is not None else _asked_port()
    if asked is not None:
        return BackgroundServer(app, host=host, port=asked, **options)
    count = int(os.environ.get("GRADIO_NUM_PORTS", "100"))
    for port in range(7860, 7860 + count):
        try:
            return BackgroundServer(app, host=host, port=port, **options)
        except EnfoldError as error:
            if "cannot serve" not in str(error):
                raise
    raise EnfoldError(f"no free port between 7860 and {7859 + count}; pass server_port=0 for any free one")
