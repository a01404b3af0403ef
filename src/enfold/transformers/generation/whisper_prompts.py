"""What Whisper's text begins with: what is asked for made definite, and written out in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.whisper_segments import joined
from enfold.transformers.tokenization.whisper import LANGUAGES, TASK_IDS, TO_LANGUAGE_CODE

__all__ = ["FIRST", "begin_of", "language_token", "led_up", "settle"]

logger = get_logger(__name__)
FIRST, ALL = CONDITIONS = ("first-segment", "all-segments")


def settle(
    config: Any,
    words: int,
    *,
    short: bool,
    return_timestamps: bool | None,
    task: str | None,
    language: Any,
    is_multilingual: bool | None,
    token_times: bool,
    thresholds: dict[str, Any],
    prompt_condition_type: str | None,
) -> int:
    """Write what was asked for into the configuration; return the timestamp of 0 seconds.

    Args:
        config: changed in place.
        words: tokens of the model; where there are no timestamps, one beyond them is returned.
        short: one window holds the whole recording.
        token_times: the times of tokens are asked for.
        thresholds: name → value, None for the configuration's own.
        return_timestamps, task, language, is_multilingual, prompt_condition_type: as ``generate`` is given them.

    Raises:
        GenerationError: for what the configuration does not allow.
    """
    if return_timestamps is None:
        return_timestamps = getattr(config, "return_timestamps", None)
    if not short:
        if return_timestamps is False:
            raise GenerationError(
                "a recording of more than one window needs return_timestamps=True: they say where it is cut"
            )
        return_timestamps = True
    config.return_timestamps = return_timestamps
    stamps = getattr(config, "no_timestamps_token_id", None)
    if return_timestamps and stamps is None:
        raise GenerationError("the generation configuration has no no_timestamps_token_id: no timestamps known")
    if is_multilingual is not None:
        config.is_multilingual = is_multilingual
    if getattr(config, "is_multilingual", None) is False and (task is not None or language is not None):
        raise GenerationError("the model knows English only: leave out task and language")
    for name, value, table in (("language", language, "lang_to_id"), ("task", task, "task_to_id")):
        if value is not None:
            if getattr(config, table, None) is None:
                raise GenerationError(f"{name}={value!r}: the generation configuration has no {table}")
            setattr(config, name, value)
    if token_times:
        if getattr(config, "task", None) == "translate":
            logger.warning("a translation's words are not said: the times of its tokens mean little")
        if getattr(config, "alignment_heads", None) is None:
            raise GenerationError("return_token_timestamps: the generation configuration has no alignment_heads")
    for name, value in thresholds.items():
        setattr(config, name, getattr(config, name, None) if value is None else value)
    condition = prompt_condition_type or FIRST
    if condition not in CONDITIONS:
        raise GenerationError(f"prompt_condition_type={condition!r}{nearest(condition, CONDITIONS)}")
    if condition == ALL and not config.condition_on_prev_tokens:
        raise GenerationError("prompt_condition_type='all-segments' needs condition_on_prev_tokens=True")
    config.prompt_condition_type = condition
    return words + 1 if stamps is None else stamps + 1


def begin_of(model: Any, features: Tensor | None, batch: int, config: Any, window: int, rest: dict[str, Any]) -> Tensor:
    """Return the tokens that every window's text begins with, (B, n): start, language, task, no timestamps.

    Args:
        model: hears the language where nothing says it.
        features: (B, M, F), or None with ``encoder_outputs`` in ``rest``.
        batch: B.
        config: settled.
        window: frames that are heard at once.
        rest: further arguments of ``generate``.

    Raises:
        GenerationError: for a language or task that the model does not know.
    """
    task, language = getattr(config, "task", None), getattr(config, "language", None)
    lead: list[int | None] = [config.decoder_start_token_id]
    if task is None and language is None:
        # What files of 2022 spell out token by token: [place, token], the language left open by None.
        forced = getattr(config, "forced_decoder_ids", None) or getattr(model.config, "forced_decoder_ids", None)
        for place, (index, token) in enumerate(forced or (), start=1):
            if index != place:
                raise GenerationError(f"forced_decoder_ids {forced} leave out the token at {place}")
            lead.append(token)
    names: list[Any] = list(language) if isinstance(language, list | tuple) else [language]
    if isinstance(language, list | tuple) and (len(names) != batch or None in names):
        raise GenerationError(f"language must be one name, or {batch} names for {batch} recordings")
    open_language = len(lead) <= 1 or lead[1] is None
    known = getattr(config, "lang_to_id", None)
    spoken: list[int] | None = None
    if language is not None:
        spoken = [language_token(name, known or {}) for name in names]
    elif known is not None and open_language:
        spoken = model.detect_language(features, rest.get("encoder_outputs"), config, window).tolist()
    tasks, plain = getattr(config, "task_to_id", None) or {}, getattr(config, "no_timestamps_token_id", None)
    if task is not None and task not in TASK_IDS:
        raise GenerationError(f"task={task!r}{nearest(task, TASK_IDS)}; it is one of {', '.join(TASK_IDS)}")
    begins = []
    for token in spoken or (None,):
        row = list(lead)
        if token is not None:
            row[1:2] = [token]
        if task is not None:
            row = [t for t in row if t not in tasks.values()] if any(t in tasks.values() for t in row[1:]) else row
            row.append(tasks[task])
        elif language is not None and tasks and not any(t in tasks.values() for t in row):
            row.append(tasks["transcribe"])
        if plain is not None and not config.return_timestamps and row[-1] != plain:
            row.append(plain)
        elif config.return_timestamps and row[-1] == plain:
            row.pop()
        begins.append([t for t in row if t is not None])
    return torch.tensor(begins, device=model.device).expand(batch, -1)


def led_up(
    half: int,
    rows: list[int],
    begin: Tensor,
    segments: list[list[dict[str, Any]]],
    leads: list[bool],
    prompt_ids: Tensor | None,
    config: Any,
    suppressed: Sequence[int] | None,
    first: int,
) -> tuple[Tensor, Tensor | None]:
    """Return what the text of the next window begins with, (rows, T), and its mask: what leads up to it before.

    Args:
        half: at most this many tokens lead up to it.
        rows: the recordings that go on.
        begin: (B, n), of ``begin_of``.
        segments: what was written of each recording.
        leads: whether that leads up to what comes.
        prompt_ids: (T,), the caller's text, or None.
        config: settled.
        suppressed: tokens that are never written, or None.
        first: the timestamp of 0 seconds.
    """
    ids = begin[rows]
    if any(leads[row] for row in rows) and segments[0]:
        marker = getattr(config, "prev_sot_token_id", None)
        if marker is None and suppressed is not None and len(suppressed) >= 2:
            marker = suppressed[-2]  # old files know the token that announces a text only from this list
        announced = None if marker is None else torch.tensor([marker])
        if prompt_ids is not None and config.prompt_condition_type == ALL:
            announced = prompt_ids
        before, _ = joined(
            [segments[row] if leads[row] else None for row in rows],
            config.pad_token_id,
            left=True,
            begin=announced,
            most=half,
            first=first,
        )
        ids = torch.cat((before.to(ids), ids), 1)
        return ids, (ids != config.pad_token_id).long()
    if prompt_ids is not None:
        ids = torch.cat((prompt_ids.to(ids)[None].expand(len(rows), -1), ids), 1)
    return ids, None


def language_token(name: str, known: dict[str, int]) -> int:
    """Return the token of a language: ``"german"``, ``"de"`` or ``"<|de|>"``."""
    lower = name.lower()
    code = lower if lower in known else f"<|{TO_LANGUAGE_CODE.get(lower, lower)}|>"
    if code not in known:
        if code[2:-2] in LANGUAGES:
            raise GenerationError(f"language={name!r}: this model does not know {code}; it is not in lang_to_id")
        raise GenerationError(f"unknown language {name!r}{nearest(lower, [*TO_LANGUAGE_CODE, *LANGUAGES])}")
    return known[code]
