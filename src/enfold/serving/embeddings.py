"""Vectors of texts over HTTP: OpenAI's ``/v1/embeddings`` and TEI's ``/embed``.

Formats: https://platform.openai.com/docs/api-reference/embeddings and
https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

import base64
from typing import Any

import torch.nn.functional as F
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from torch import Tensor

from enfold.serving.app import body_of
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields, texts
from enfold.serving.readers import EMBEDDING, Embedder
from enfold.serving.service import Service

__all__ = ["MOST_TEXTS", "embed", "routes"]

MOST_TEXTS = 2048
"""Texts of one request, as OpenAI has it."""


def routes(service: Service) -> list[Route]:
    """Return the routes of vectors."""

    async def embeddings(request: Request) -> Response:
        body = await body_of(request, service)
        fields = Fields(body)
        model: Embedder = service.find(fields.text("model"), EMBEDDING)
        given = inputs_of(body.get("input"))
        form = fields.one_of("encoding_format", ("float", "base64"), "float")
        prompt = model.prompt(fields.text("prompt_name"))
        pieces = await model.read(given, prompt=prompt, truncate=fields.flag("truncate"))
        vectors = shortened(await model.vectors(pieces), fields.whole("dimensions"), model.pipe.steps.normalized)
        rows = _base64(vectors) if form == "base64" else vectors.tolist()
        count = sum(map(len, pieces))
        service.metrics.prompt_tokens.add(count, model.name)
        return JSONResponse(
            {
                "object": "list",
                "model": model.name,
                "data": [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)],
                "usage": {"prompt_tokens": count, "total_tokens": count},
            }
        )

    async def embed_(request: Request) -> Response:
        body = await body_of(request, service)
        model: Embedder = service.find(Fields(body).text("model"), EMBEDDING)
        return JSONResponse((await embed(model, body)).tolist())

    return [
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/embed", embed_, methods=["POST"]),
    ]


async def embed(model: Embedder, body: dict[str, Any]) -> Tensor:
    """Return the vectors (n, W) that TEI's fields ask for: ``inputs``, ``normalize`` (True), ``truncate``,
    ``prompt_name``, ``dimensions``.

    Raises:
        ServingError: as :meth:`Embedder.read`.
    """
    given, fields = inputs_of(body.get("inputs"), "inputs"), Fields(body)
    prompt = model.prompt(fields.text("prompt_name"))
    truncate = fields.flag("truncate")
    normalize = fields.flag("normalize", True)
    if fields.text("truncation_direction", "right").lower() != "right":
        raise ServingError("truncation_direction: only 'right' is known", param="truncation_direction")
    pieces = await model.read(given, prompt=prompt, truncate=truncate, param="inputs")
    vectors = shortened(await model.vectors(pieces), fields.whole("dimensions"), normalize)
    return F.normalize(vectors, dim=-1) if normalize else vectors


def inputs_of(value: Any, name: str = "input") -> list[str | list[int]]:
    """Return what is to be read: a text, token ids, or a list of either.

    Raises:
        ServingError: 400 for anything else and for what is empty; 413 for too many.
    """
    if isinstance(value, str):
        return list(texts([value], name, 1))
    if isinstance(value, list) and value and all(map(_is_token, value)):
        return [value]
    if isinstance(value, list) and any(isinstance(each, list) for each in value):
        if len(value) > MOST_TEXTS:
            raise ServingError(f"{name} has {len(value)} texts; at most {MOST_TEXTS} are accepted", 413, param=name)
        for place, each in enumerate(value):
            if not isinstance(each, list) or not all(map(_is_token, each)):
                raise ServingError(f"{name}[{place}] must be a list of token ids, as the others are", param=name)
            if not each:
                raise ServingError(f"{name}[{place}] is empty", param=name)
        return list(value)
    if value is None:
        raise ServingError(f"{name} is missing: a string, a list of strings, or token ids", param=name)
    return list(texts(value, name, MOST_TEXTS))


def shortened(vectors: Tensor, dimensions: int | None, normalized: bool) -> Tensor:
    """Return the first ``dimensions`` of vectors (n, W), of length 1 again where they were.

    Raises:
        ServingError: 400, they have not that many.

    Source: Kusupati et al., 2022, "Matryoshka Representation Learning".
    """
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    if not 1 <= dimensions < vectors.shape[1]:
        raise ServingError(
            f"dimensions={dimensions} must be from 1 to {vectors.shape[1]}, the width of this model", param="dimensions"
        )
    cut = vectors[:, :dimensions]
    return F.normalize(cut, dim=-1) if normalized else cut


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _base64(vectors: Tensor) -> list[str]:
    rows = vectors.contiguous().numpy().astype("<f4")
    return [base64.b64encode(row.tobytes()).decode() for row in rows]
