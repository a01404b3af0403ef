"""Copies of the server behind one address: Ray Serve starts them, parts requests among them, and restarts them.

Ray moves to each copy what it is made of, not the models themselves: every copy loads its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.errors import EnfoldError

__all__ = ["deployment", "run_replicas"]

AT_ONCE = 1024  # requests that Ray hands to a copy at once; what goes beyond the copy's own limits it refuses itself


def deployment(settings: Mapping[str, Any], replicas: int) -> Any:
    """Return a Ray Serve application of so many copies of the server.

    Args:
        settings: the arguments of :func:`~enfold.serving.loading.build_service`.
        replicas: how many copies.

    Raises:
        EnfoldError: Ray Serve is not installed.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise EnfoldError(f"replicas are run by Ray Serve: pip install 'ray[serve]' ({error})") from None

    given = dict(settings)

    def application() -> Any:
        """Make the application inside a copy; the copy starts and stops its models."""
        from enfold.serving.app import create_app
        from enfold.serving.loading import build_service

        return create_app(build_service(**given))

    part: Any = serve
    made = part.deployment(name="enfold", num_replicas=replicas, max_ongoing_requests=AT_ONCE)
    return made(part.ingress(application)()).bind()


def run_replicas(settings: Mapping[str, Any], replicas: int, host: str, port: int) -> None:
    """Serve copies until Ctrl-C.

    Args:
        settings, replicas: see :func:`deployment`.
        host, port: where the proxy listens.
    """
    app = deployment(settings, replicas)
    from ray import serve

    serve.start(http_options={"host": host, "port": port})
    serve.run(app, blocking=True)
