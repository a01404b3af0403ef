"""The routes of models that read: vectors, order, transcripts, and the tasks of pipelines."""

from __future__ import annotations

from starlette.routing import Route

from enfold.serving import embeddings, reranking, tasks, transcriptions
from enfold.serving.service import Service

__all__ = ["routes"]


def routes(service: Service) -> list[Route]:
    """Return all of them."""
    return [route for part in (embeddings, reranking, transcriptions, tasks) for route in part.routes(service)]
