"""When each token was said: where the decoder looked in what it heard, made monotonous by time warping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["median_filter", "token_times", "warp"]


def median_filter(x: Tensor, width: int) -> Tensor:
    """Return the running median along the last dimension, the ends mirrored.

    Args:
        x: (H, T, S).
        width: an odd number; rows not longer than half of it stay as they are.
    """
    half = width // 2
    if width % 2 == 0 or width <= 0:
        raise ValueError(f"a median needs an odd width, not {width}")
    if x.shape[-1] <= half:
        return x
    return F.pad(x, (half, half, 0, 0), mode="reflect").unfold(-1, width, 1).sort().values[..., half]


def warp(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cheapest monotonous path through ``cost`` (T, S), from corner to corner, as rows and columns.

    Source: Sakoe & Chiba, 1978, "Dynamic programming algorithm optimization for spoken word recognition". A whole
    antidiagonal is computed at once; of equal ways the one along the row is taken.

    Example:
        >>> [part.tolist() for part in warp(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))]
        [[0, 1, 1], [0, 1, 2]]
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf, dtype=np.float32)
    step = np.full((rows + 1, columns + 1), 2, dtype=np.int8)  # 0 slanted, 1 up, 2 left
    total[0, 0] = 0.0
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        ways = np.stack((total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]))
        best = np.full(len(i), 2, dtype=np.int8)
        best[(ways[1] < ways[0]) & (ways[1] < ways[2])] = 1
        best[(ways[0] < ways[1]) & (ways[0] < ways[2])] = 0
        total[i, j] = cost[i - 1, j - 1] + ways[best, np.arange(len(i))]
        step[i, j] = best
    step[:, 0] = 1
    step[0, :] = 2
    i, j, path = rows, columns, []
    while i > 0 or j > 0:
        path.append((i - 1, j - 1))
        way = step[i, j]
        i, j = i - (way != 2), j - (way != 1)
    found = np.array(path[::-1])
    return found[:, 0], found[:, 1]


def token_times(
    output: Any,
    heads: Sequence[Sequence[int]],
    prompt: int,
    *,
    frames: Tensor | None = None,
    width: int = 7,
    precision: float = 0.02,
) -> Tensor:
    """Return the second at which each token of ``output.sequences`` was said; 0 for those of the prompt.

    Args:
        output: of ``generate``, with cross_attentions and, after beam search, beam_indices.
        heads: (layer, head) of those that look where the words are.
        prompt: tokens that were given.
        frames: how many frames of each row (B,) are sound; two make a state of the encoder. None takes all.
        width: of the running median over states.
        precision: seconds of a state.

    Returns:
        (B, T) for T tokens; the last one, which nothing was looked up for, has the time of the one before.
    """
    layers = len(output.cross_attentions[0])
    stacked = [torch.cat([step[layer] for step in output.cross_attentions], 2) for layer in range(layers)]
    looks = torch.stack([stacked[layer][:, head] for layer, head in heads], 1)  # (R, heads, T - 1, S)
    origins = output.get("beam_indices")
    if origins is not None:
        origins = origins[:, : int((origins != -1).sum(-1).max())].clamp(min=0)
        origins = torch.cat((origins[:, :1].expand(-1, max(prompt - 1, 0)), origins), 1)  # the prompt's come at once
        looks = torch.stack([looks[origins[:, place], :, place] for place in range(origins.shape[1])], 2)
    rows, _, length, states = looks.shape
    times = torch.zeros(rows if origins is None else origins.shape[0], length + 1)
    if length <= prompt:
        return times
    for row in range(times.shape[0]):
        end = states if frames is None else int(frames[row * len(frames) // times.shape[0]]) // 2
        look = looks[row, :, prompt:, :end].float()
        look = (look - look.mean(-2, keepdim=True)) / look.std(-2, keepdim=True, unbiased=False)
        tokens, places = warp(-median_filter(look, width).mean(0).cpu().double().numpy())
        said = places[np.diff(tokens, prepend=tokens[0] - 1) > 0] * precision
        times[row, prompt:-1] = torch.from_numpy(said)
        times[row, -1] = float(said[-1])
    return times
