"""The Hub's inference protocol: ``POST /models/{name}`` does what the model was made for.

Texts come as ``{"inputs": …, "parameters": {…}}``; recordings and pictures as the body's bytes, or in base64 as
``inputs``. Neither an address nor a path is ever opened for a caller.
Format: https://huggingface.co/docs/inference-providers/providers/hf-inference
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from enfold.errors import EnfoldError, nearest
from enfold.serving.app import body_of
from enfold.serving.embeddings import MOST_TEXTS, embed
from enfold.serving.errors import NotServed, ServingError
from enfold.serving.fields import Fields, texts
from enfold.serving.readers import RERANK, Embedder, PipelineModel
from enfold.serving.service import Service
from enfold.serving.transcribing import Asked, Transcriber, decoded
from enfold.serving.transcriptions import MOST_BYTES
from enfold.web.limits import BodyTooLarge, read_body

__all__ = ["TASKS", "routes"]

WRITING = (
    "do_sample", "early_stopping", "length_penalty", "max_length", "max_new_tokens", "min_length", "min_new_tokens",
    "no_repeat_ngram_size", "num_beams", "repetition_penalty", "temperature", "top_k", "top_p",
)  # fmt: skip
"""What ``generate_parameters`` may hold."""
MOST_BEAMS, MOST_NEW_TOKENS = 16, 4096


@dataclass(frozen=True)
class Task:
    """How a task is asked over HTTP.

    Args:
        parameters: of a call that callers may set; all others are refused.
        given: ``"text"``, ``"texts in an object"``, ``"picture"`` or ``"recording"``.
        shown: the pipeline's answer → what is sent.
    """

    parameters: tuple[str, ...] = ()
    given: str = "text"
    shown: Callable[[Any], Any] = lambda answer: answer


def _labels(answer: Any) -> Any:
    return [{"label": label, "score": score} for label, score in zip(answer["labels"], answer["scores"], strict=True)]


def _masks(answer: Any) -> Any:
    return [{**each, "mask": _png(each["mask"])} for each in answer]


def _png(picture: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _plain(answer: Any) -> Any:
    """Return an answer with numbers of numpy as Python's."""
    if isinstance(answer, dict):
        return {name: _plain(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [_plain(value) for value in answer]
    return answer.item() if hasattr(answer, "item") and not isinstance(answer, str) else answer


_WRITES = Task(("clean_up_tokenization_spaces", "truncation", "generate_parameters"))
TASKS: dict[str, Task] = {
    "text-classification": Task(("function_to_apply", "top_k"), shown=lambda answer: [answer]),
    "token-classification": Task(("aggregation_strategy", "ignore_labels", "stride")),
    "fill-mask": Task(("targets", "top_k")),
    "question-answering": Task(
        ("align_to_words", "doc_stride", "handle_impossible_answer", "max_answer_len", "max_question_len",
         "max_seq_len", "top_k"),
        "texts in an object",
    ),
    "zero-shot-classification": Task(("candidate_labels", "hypothesis_template", "multi_label"), shown=_labels),
    "summarization": _WRITES,
    "translation": Task((*_WRITES.parameters, "src_lang", "tgt_lang")),
    "text2text-generation": _WRITES,
    "image-classification": Task(("function_to_apply", "top_k"), "picture"),
    "image-segmentation": Task(
        ("mask_threshold", "overlap_mask_area_threshold", "subtask", "threshold"), "picture", _masks
    ),
    "image-to-text": Task(("generate_parameters",), "picture"),
    "object-detection": Task(("threshold",), "picture"),
    "visual-question-answering": Task(("top_k",), "picture"),
    "zero-shot-image-classification": Task(("candidate_labels", "hypothesis_template"), "picture"),
    "audio-classification": Task(("function_to_apply", "top_k"), "recording"),
}  # fmt: skip


def routes(service: Service) -> list[Route]:
    """Return the routes of tasks."""

    async def answer(request: Request) -> Response:
        name, task = request.path_params["name"], request.path_params.get("task")
        model: Any = service.models.get(name)
        if model is None:
            raise NotServed(f"no model {name!r} is served{nearest(name, service.models)}")
        if isinstance(model, Embedder):
            return JSONResponse(await _vectors(model, await body_of(request, service), task))
        if isinstance(model, Transcriber):
            return JSONResponse(await _transcript(model, *await _read(request)))
        if isinstance(model, PipelineModel) and model.kind in TASKS:
            return JSONResponse(_plain(await _task(model, *await _read(request))))
        elsewhere = {"text": "/v1/chat/completions, /v1/completions or /generate", RERANK: "/v1/rerank or /rerank"}
        raise ServingError(f"{name!r} is asked under {elsewhere.get(model.kind, 'no path: its task has none')}")

    paths = ("/models/{name:path}/pipeline/{task}", "/pipeline/{task}/{name:path}", "/models/{name:path}")
    # The public router has one door for each provider; clients that are pointed here keep its name.
    return [Route(f"{door}{path}", answer, methods=["POST"]) for door in ("", "/hf-inference") for path in paths]


async def _read(request: Request) -> tuple[dict[str, Any], bytes | None]:
    """Return a body that is a JSON object, or the bytes of one that is a file."""
    try:
        body = await read_body(request, MOST_BYTES)
    except BodyTooLarge as error:
        raise ServingError(str(error), 413) from None
    if request.headers.get("content-type", "").partition(";")[0].strip() not in ("application/json", ""):
        return {}, body
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ServingError("the body is neither JSON nor sent with the type of a file, such as audio/wav") from None
    if not isinstance(found, dict):
        raise ServingError(f"the body must be a JSON object, not {type(found).__name__}")
    return found, None


def _file(body: dict[str, Any], raw: bytes | None, name: str = "inputs") -> bytes:
    if raw is not None:
        return raw
    text = Fields(body).text(name, "")
    if not text:
        raise ServingError(f"{name} is missing: the file in base64", param=name)
    try:
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        raise ServingError(f"{name} must be a file in base64; addresses and paths are not opened", param=name) from None


async def _vectors(model: Embedder, body: dict[str, Any], task: str | None) -> Any:
    given = body.get("inputs")
    if task == "sentence-similarity" or (task is None and isinstance(given, dict)):
        if not isinstance(given, dict):
            raise ServingError("inputs must be an object: source_sentence, sentences", param="inputs")
        source = texts([given.get("source_sentence")], "source_sentence", 1)
        others = texts(given.get("sentences"), "sentences", MOST_TEXTS - 1)
        found = await embed(model, {"inputs": [*source, *others]})
        return (found[1:] @ found[0]).tolist()
    if task not in (None, "feature-extraction"):
        raise ServingError(f"{model.name!r} does feature-extraction and sentence-similarity, not {task}")
    parameters = Fields(body).object("parameters") or {}
    return (await embed(model, {**parameters, **body})).tolist()


async def _transcript(model: Transcriber, body: dict[str, Any], raw: bytes | None) -> dict[str, Any]:
    parameters = Fields(body).object("parameters") or {}
    _only(parameters, ("return_timestamps", "generate_kwargs", "generation_parameters", "generate_parameters"))
    times = parameters.get("return_timestamps", False)
    if times not in (True, False, "word"):
        raise ServingError("return_timestamps must be true, false or 'word'", param="return_timestamps")
    writing: dict[str, Any] = {}
    for name in ("generate_kwargs", "generation_parameters", "generate_parameters"):
        writing |= Fields(parameters).object(name) or {}
    _only(writing, ("task", "language", "temperature"))
    fields = Fields(writing)
    asked = Asked(
        task=fields.text("task", "transcribe"),
        language=fields.text("language"),
        temperature=float(fields.number("temperature", 0, 1, 0.0)),
        segments=times is True,
        words=times == "word",
    )
    found = await model.write(_file(body, raw), asked, param="inputs")
    if not times:
        return {"text": found.text}
    parts = found.words if times == "word" else found.segments
    chunks = [
        {"text": each["word" if times == "word" else "text"], "timestamp": [each["start"], each["end"]]}
        for each in parts
    ]
    return {"text": found.text, "chunks": chunks}


async def _task(model: PipelineModel, body: dict[str, Any], raw: bytes | None) -> Any:
    task = TASKS[model.kind]
    options = dict(Fields(body).object("parameters") or {})
    _only(options, task.parameters)
    options = {name: value for name, value in options.items() if value is not None}
    writing = Fields(options).object("generate_parameters") or {}
    _only(writing, WRITING)
    for name, most in (("num_beams", MOST_BEAMS), ("max_new_tokens", MOST_NEW_TOKENS), ("max_length", MOST_NEW_TOKENS)):
        if Fields(writing).whole(name, default=1) > most:
            raise ServingError(f"{name}={writing[name]}: at most {most} is accepted", param=name)
    options.pop("generate_parameters", None)
    if writing:
        options |= {"generate_kwargs": writing} if model.kind == "image-to-text" else writing
    if task.given == "picture":
        given: Any = await model.batches.outside(_picture, _file(body, raw))
        if model.kind == "visual-question-answering":
            given = {"image": given, "question": texts([body.get("question")], "question", 1)[0]}
    elif task.given == "recording":
        rate = model.pipe.feature_extractor.sampling_rate
        given = {"array": await model.batches.outside(decoded, _file(body, raw), rate, "inputs"), "sampling_rate": rate}
    elif raw is not None:
        raise ServingError(f"{model.name!r} takes texts: a JSON object with inputs")
    elif task.given == "text":
        return await _texts(model, task, body.get("inputs"), options)
    else:
        given = Fields(body).object("inputs") or {}
        found = {name: texts([given.get(name)], name, 1)[0] for name in ("question", "context")}
        given = found
    return task.shown(await _answered(model, given, options))


async def _texts(model: PipelineModel, task: Task, given: Any, options: dict[str, Any]) -> Any:
    """Answer one text, or several; each goes its own way through the batches."""
    several = isinstance(given, list)
    found = texts(given if several else [given], "inputs", MOST_TEXTS)
    if model.max_length is not None and not options.get("truncation"):
        lengths = await model.batches.outside(model.lengths, found)
        for place, length in enumerate(lengths):
            if length > model.max_length and not options.get("stride"):
                raise ServingError(
                    f"text {place} has {length} tokens; this model reads {model.max_length}",
                    param="inputs",
                    code="context_length_exceeded",
                )
    if model.kind == "text-classification":
        options = {"top_k": None, **options}
    answers = await asyncio.gather(*(_answered(model, text, options) for text in found))
    if model.kind in ("summarization", "translation", "text2text-generation"):
        return [each[0] if isinstance(each, list) else each for each in answers]
    if model.kind == "text-classification":
        return answers
    shown = [task.shown(each) for each in answers]
    return shown if several else shown[0]


async def _answered(model: PipelineModel, given: Any, options: dict[str, Any]) -> Any:
    try:
        return await model.answer(given, options)
    except ServingError:
        raise
    except (ValueError, OSError, TypeError, EnfoldError) as error:
        raise ServingError(str(error)) from None


def _picture(data: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, ValueError, SyntaxError):
        raise ServingError("the file is no picture that can be read", param="inputs") from None


def _only(given: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            told = ", ".join(known) or "none"
            raise ServingError(f"no parameter {name!r}{nearest(name, known)} (known: {told})", param=name)
