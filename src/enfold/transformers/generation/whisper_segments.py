"""What Whisper wrote about a window of thirty seconds, cut where its timestamps say that a segment ends."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["average_logprob", "compression_ratio", "cut", "joined", "row_of", "stacked"]

Segment = dict[str, Any]


def cut(
    tokens: Tensor,
    result: Any,
    *,
    offset: Tensor,
    first: int,
    frames: int,
    prompt: int,
    times: Tensor | None,
    stride: int,
    precision: float,
    frame_precision: float,
) -> tuple[list[Segment], int]:
    """Return the segments of a window, and by how many frames the next window comes later.

    Args:
        tokens: (T,), what was written, without end token and padding.
        result: what ``generate`` returned for the row; every segment holds it.
        offset: seconds before the window.
        first: the timestamp of 0 seconds.
        frames: of the window.
        prompt: tokens that were given.
        times: when each token was said (prompt + T), or None.
        stride: frames of a state of the encoder.
        precision: seconds between timestamps.
        frame_precision: seconds of a frame.
    """
    stamps = (tokens >= first).tolist()
    open_end = stamps[-2:] == [False, True]  # one timestamp at the end: nothing is said after it
    ends = [i + 1 for i in range(len(stamps) - 1) if stamps[i] and stamps[i + 1]]

    def segment(start: Tensor, end: Tensor, low: int, high: int) -> Segment:
        made: Segment = {"start": start, "end": end, "tokens": tokens[low:high]}
        made["idxs"] = (prompt + low, prompt + high)
        made["result"] = result
        if times is not None:
            made["token_timestamps"] = times[prompt + low : prompt + high] + offset
        return made

    if not ends:
        last: Any = int(frames * frame_precision / precision)
        places = [i for i, stamp in enumerate(stamps) if stamp]
        if places and int(tokens[places[-1]]) != first:
            last = (tokens[places[-1]] - first).double()
        return [segment(offset, offset + last * precision, 0, len(stamps))], frames
    if open_end:
        ends.append(len(stamps))
    else:
        ends[-1] += 1  # the last segment keeps the timestamp that would begin the next
    segments, low = [], 0
    for high in ends:
        closing = -1 if high != ends[-1] or open_end else -2
        start, end = ((tokens[low:high][place] - first).double() * precision for place in (0, closing))
        segments.append(segment(offset + start, offset + end, low, high))
        low = high
    # What follows the last pair was cut off by the window's end: the next window begins there.
    return segments, frames if open_end else (int(tokens[low - 2]) - first) * stride


def joined(
    rows: Sequence[Sequence[Segment] | None],
    pad: int,
    *,
    left: bool = False,
    begin: Tensor | None = None,
    most: int | None = None,
    first: int | None = None,
    times: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return the tokens of each row's segments (B, T), and when they were said where ``times`` asks for it.

    Args:
        rows: the segments of each row; None for one that gets ``begin`` alone.
        pad: fills shorter rows.
        left: whether on their left.
        begin: tokens (n,) before each row's.
        most: keep that many tokens from the end.
        first: given, the timestamp of 0 seconds: of two timestamps at a segment's end the second is left out.
        times: return the times too.
    """
    sequences, clocks = [], []
    for row in rows:
        parts, said = [], []
        for segment in row or ():
            tokens = segment["tokens"]
            doubled = first is not None and len(tokens) > 2 and int(tokens[-2]) >= first
            parts.append(tokens[:-1] if doubled else tokens)
            if times:
                said.append(segment["result"]["token_timestamps"][slice(*segment["idxs"])])
        joint = torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)
        clock = torch.cat(said) if said else torch.empty(0)
        if most is not None:
            joint, clock = joint[-most:], clock[-most:]
        if begin is not None:
            joint, clock = torch.cat((begin.to(joint), joint)), torch.cat((torch.zeros(len(begin)), clock))
        sequences.append(joint)
        clocks.append(clock)
    width = max(len(sequence) for sequence in sequences)

    def filled(x: Tensor, value: float) -> Tensor:
        return F.pad(x, (width - len(x), 0) if left else (0, width - len(x)), value=value)

    tokens = torch.stack([filled(sequence, pad) for sequence in sequences])
    if not times:
        return tokens, None
    return tokens, torch.stack([filled(x, float(x[-1]) if len(x) else 0.0) for x in clocks])


def compression_ratio(tokens: Tensor, words: int) -> float:
    """Return how much shorter the tokens become when they are compressed: what repeats itself does so most."""
    size = int(math.log2(words) / 8) + 1
    raw = b"".join(token.to_bytes(size, "little") for token in tokens.tolist())
    return len(raw) / len(zlib.compress(raw))


def average_logprob(scores: Sequence[Tensor], tokens: Tensor, temperature: float | None) -> Tensor:
    """Return the mean log probability of the tokens (T,), the end token included, at temperature 1."""
    table = torch.stack(list(scores)).to(tokens.device)  # (steps, V)
    table, tokens = (table[: len(tokens)], tokens) if len(table) > len(tokens) else (table, tokens[-len(table) :])
    chances = (table * (temperature if temperature else 1.0)).float().log_softmax(-1).to(table.dtype)
    return chances.gather(1, tokens[:, None]).sum() / len(tokens)


def row_of(output: Any, row: int) -> Any:
    """Return one row of what ``generate`` returned: of a tensor, or of everything in an output but its cache."""
    if isinstance(output, Tensor):
        return output[row]
    beams = output.get("beam_indices")
    found: dict[str, Any] = {}
    for name, value in output.items():
        if isinstance(value, Tensor):
            found[name] = value[row].cpu()
        elif name == "scores" and beams is not None:
            found[name] = [step[beam].cpu() for step, beam in zip(value, beams[row].tolist(), strict=False)]
        elif name in ("scores", "logits", "encoder_attentions", "encoder_hidden_states"):
            found[name] = [part[row].cpu() for part in value]
        elif name != "past_key_values":
            found[name] = tuple(tuple(part[row][None].cpu() for part in step) for step in value)
    return found


def stacked(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return rows of ``row_of`` as one dictionary of whole tensors."""

    def together(values: list[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.stack(values)
        return tuple(together(list(parts)) for parts in zip(*values, strict=False))

    found = {name: together([row[name] for row in rows]) for name in rows[0]}
    for name in ("decoder_attentions", "decoder_hidden_states", "cross_attentions"):
        if name in found:
            found[name] = tuple(tuple(part.squeeze(1) for part in step) for step in found[name])
    return found
