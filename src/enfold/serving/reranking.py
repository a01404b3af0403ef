"""Texts in the order in which they answer a question: Cohere's and Jina's ``/v1/rerank``, TEI's ``/rerank``.

A model that reads question and text together scores them where one is served; else the vectors of a served model are
compared. Formats: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker and
https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

import secrets
from typing import Any

import torch.nn.functional as F
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from torch import Tensor

from enfold.serving.app import body_of
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields, texts
from enfold.serving.readers import EMBEDDING, RERANK, Embedder, Reranker
from enfold.serving.service import Service

__all__ = ["routes"]

MOST_TEXTS = 1000


def routes(service: Service) -> list[Route]:
    """Return the routes that put texts in order."""

    async def rerank(request: Request) -> Response:
        body = await body_of(request, service)
        if "texts" in body:
            return JSONResponse(await _tei(service, body))
        given, fields = texts(body.get("documents"), "documents", MOST_TEXTS), Fields(body)
        most = fields.whole("top_n", 1, default=fields.whole("top_k", 1, default=len(given)))
        model = _model(service, fields.text("model"))
        scores, tokens = await _scores(model, _query(body), given, truncate=True, param="documents")
        shown = fields.flag("return_documents")
        results = [
            {"index": place, "relevance_score": score, **({"document": {"text": given[place]}} if shown else {})}
            for place, score in _ordered(scores.sigmoid() if isinstance(model, Reranker) else scores)[:most]
        ]
        service.metrics.prompt_tokens.add(tokens, model.name)
        return JSONResponse(
            {
                "id": f"rerank-{secrets.token_hex(12)}",
                "model": model.name,
                "results": results,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
                "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
            }
        )

    return [Route(path, rerank, methods=["POST"]) for path in ("/rerank", "/v1/rerank", "/v2/rerank")]


async def _tei(service: Service, body: dict[str, Any]) -> list[dict[str, Any]]:
    given, fields = texts(body.get("texts"), "texts", MOST_TEXTS), Fields(body)
    raw = fields.flag("raw_scores")
    model = _model(service, fields.text("model"))
    truncate = fields.flag("truncate")
    scores, _ = await _scores(model, _query(body), given, truncate=truncate, param="texts")
    if isinstance(model, Reranker) and not raw:
        scores = scores.sigmoid()
    shown = fields.flag("return_text")
    return [
        {"index": place, "score": score, **({"text": given[place]} if shown else {})}
        for place, score in _ordered(scores)
    ]


def _query(body: dict[str, Any]) -> str:
    query: str = Fields(body).text("query", "")
    if not query.strip():
        raise ServingError("query is missing or empty: a string", param="query")
    return query


def _model(service: Service, name: str | None) -> Reranker | Embedder:
    """Return the model that is named, else the first that reads pairs, else the first that makes vectors."""
    kinds = {model.kind for model in service.models.values()}
    named = service.models.get(name or "")
    kind = EMBEDDING if (named is not None and named.kind == EMBEDDING) or RERANK not in kinds else RERANK
    if not kinds & {RERANK, EMBEDDING}:
        kind = RERANK
    found: Reranker | Embedder = service.find(name, kind)
    return found


async def _scores(
    model: Reranker | Embedder, query: str, given: list[str], *, truncate: bool, param: str
) -> tuple[Tensor, int]:
    """Return a score for each text, and how many tokens were read."""
    if isinstance(model, Reranker):
        pieces = await model.read(query, given, truncate=truncate, param=param)
        return await model.scores(pieces), sum(map(len, pieces))
    prompts = model.pipe.steps.prompts
    asked = await model.read([query], prompt=prompts.get("query", ""), param="query")
    read = await model.read(given, prompt=prompts.get("document", ""), truncate=truncate, param=param)
    vectors = F.normalize(await model.vectors([*asked, *read]), dim=-1)
    return vectors[1:] @ vectors[0], sum(map(len, [*asked, *read]))


def _ordered(scores: Tensor) -> list[tuple[int, float]]:
    """Return (place, score) from the best to the worst; equal ones in the order in which they came."""
    return sorted(enumerate(scores.tolist()), key=lambda pair: -pair[1])
