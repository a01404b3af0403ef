"""Recordings written down over HTTP: OpenAI's ``/v1/audio/transcriptions`` and ``/v1/audio/translations``.

Format: https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from enfold.errors import nearest
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields
from enfold.serving.readers import TRANSCRIPTION
from enfold.serving.service import Service
from enfold.serving.subtitles import as_srt, as_vtt
from enfold.serving.transcribing import Asked, Transcriber, Transcript
from enfold.web.limits import BadForm, BodyTooLarge, read_form

__all__ = ["MOST_BYTES", "routes"]

MOST_BYTES = 64 * 2**20
"""Bytes of one recording."""
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = ("segment", "word")


def routes(service: Service) -> list[Route]:
    """Return the routes of recordings."""

    async def transcriptions(request: Request) -> Response:
        return await _answer(request, service, "transcribe")

    async def translations(request: Request) -> Response:
        return await _answer(request, service, "translate")

    return [
        Route("/v1/audio/transcriptions", transcriptions, methods=["POST"]),
        Route("/v1/audio/translations", translations, methods=["POST"]),
    ]


async def _answer(request: Request, service: Service, task: str) -> Response:
    try:
        form = await read_form(request, MOST_BYTES, files=1, fields=32)
    except BodyTooLarge as error:
        raise ServingError(str(error), 413, param="file") from None
    except BadForm as error:
        raise ServingError(str(error)) from None
    try:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        model: Transcriber = service.find(fields.get("model") or None, TRANSCRIPTION)
        upload = form.get("file")
        if upload is None or isinstance(upload, str):
            raise ServingError("file is missing: the recording, as a file of the form", param="file")
        shape = Fields(fields).one_of("response_format", FORMATS, "json")
        asked = _asked(fields, form, task, shape)
        recording = await upload.read()
    finally:
        await form.close()
    return _shown(await model.write(recording, asked), shape, asked)


def _asked(fields: dict[str, str], form: Any, task: str, shape: str) -> Asked:
    if fields.get("stream", "false").lower() in ("true", "1"):
        raise ServingError("transcripts come whole here: stream must be false", param="stream")
    wanted = [
        value for name in ("timestamp_granularities[]", "timestamp_granularities") for value in form.getlist(name)
    ]
    for each in wanted:
        if each not in GRANULARITIES:
            known = " or ".join(GRANULARITIES)
            raise ServingError(
                f"timestamp_granularities: {each!r}{nearest(str(each), GRANULARITIES)}; it is {known}",
                param="timestamp_granularities",
            )
    if wanted and shape != "verbose_json":
        raise ServingError("timestamp_granularities needs response_format=verbose_json", param="response_format")
    try:
        temperature = float(fields.get("temperature") or 0)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise ServingError(f"temperature={fields['temperature']!r} must be a number from 0 to 1", param="temperature")
    return Asked(
        task=task,
        language=(fields.get("language") or None) if task == "transcribe" else None,
        prompt=fields.get("prompt") or None,
        temperature=temperature,
        segments=shape in ("srt", "vtt") or (shape == "verbose_json" and ("segment" in wanted or not wanted)),
        sureness=shape == "verbose_json",
        words="word" in wanted,
    )


def _shown(found: Transcript, shape: str, asked: Asked) -> Response:
    if shape == "text":
        return PlainTextResponse(found.text + "\n")
    if shape == "srt":
        return PlainTextResponse(as_srt(found.segments))
    if shape == "vtt":
        return PlainTextResponse(as_vtt(found.segments))
    usage = {"type": "duration", "seconds": round(found.duration, 2)}
    if shape == "json":
        return JSONResponse({"text": found.text, "usage": usage})
    told: dict[str, Any] = {
        "task": asked.task,
        "language": found.language,
        "duration": round(found.duration, 2),
        "text": found.text,
        "usage": usage,
    }
    if asked.segments:
        told["segments"] = found.segments
    if asked.words:
        told["words"] = found.words
    return JSONResponse(told)
