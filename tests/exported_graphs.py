"""Tiny models of every architecture, and a graph's comparison with its model on inputs that it was not traced with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

import enfold.transformers as tf
from enfold.optimum.exporters.graph_parts import Part
from parity.architectures.harness import Case, build

# module of ``parity.architectures`` → its cases that are exported: each architecture once, each task at least once.
# Those with a star are in the everyday run. ViLT chooses patches by what is in the mask, which no graph can.
CASES = {
    "first": "*bert-token bert-masked bert-question bert-choice distilbert gpt2-causal gpt2-question llama "
    "*llama-causal llama-dynamic llama-sequence",
    "encoders": "roberta-causal roberta-maskedlm xlmroberta-sequenceclassification electra-sequenceclassification "
    "albert-maskedlm mpnet-model",
    "newer_encoders": "debertav2-sequenceclassification modernbert-maskedlm modernbert-mean",
    "decoders": "mistral-causal qwen2-causal qwen3-causal smollm3-causal phi3-causal phi3-long",
    "decoders_more": "gemma-causal gemma2-causal gemma3-causal mixtral-causal falcon-causal falcon-old",
    "seq2seq": "*t5-writes t5-encoder t5 mt5-writes bart-writes bart bart-sequence bart-question bart-causal "
    "mbart-writes m2m-writes marian-writes pegasus-writes",
    "joined": "bert-gpt2 vit-gpt2",
    "speech_seq2seq": "whisper-writes whisper-class",
    "speech": "*wav2vec2-letters wav2vec2-stable wav2vec2-class wav2vec2-frames wav2vec2-voices hubert-class",
    "vision": "*vit-class vit-masked deit-class dinov2-class resnet-class bit-class segformer-pixels dpt-depth",
    "detection": "detr-boxes detr-masks sam-eyes",
    "two_towers": "clip clip-text-projected siglip owlvit-boxes",
    "images_and_texts": "blip blip-vision",
    "sounds": "clap clap-audio",
}


def every() -> list[tuple[str, str]]:
    """Return all (module, case), those of the everyday run with a star."""
    return [(module, name) for module, names in CASES.items() for name in names.split()]


LAYERS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers", "n_layer")


def tiny(module: str, name: str) -> Any:
    """Return the model of a case; those with a star have one layer, which says as much in less time."""
    case: Case = import_module(f"parity.architectures.{module}").CASES[name.removeprefix("*")]
    if name.startswith("*") and isinstance(case.config, dict):
        case = case._replace(config={**case.config, **{key: 1 for key in LAYERS if key in case.config}})
    return build(tf, case).requires_grad_(False).eval()


SHORT = {
    "batch_size": 1, "sequence_length": 1, "past_sequence_length": 4, "num_choices": 2, "decoder_sequence_length": 1,
    "past_decoder_sequence_length": 3, "encoder_sequence_length": 6, "text_batch_size": 1,
}  # fmt: skip
LONG = {
    "batch_size": 3, "sequence_length": 9, "past_sequence_length": 2, "num_choices": 4, "decoder_sequence_length": 6,
    "past_decoder_sequence_length": 5, "encoder_sequence_length": 13, "text_batch_size": 6,
}  # fmt: skip
FIRST = {**LONG, "past_sequence_length": 0}


def varied(part: Part, sizes: dict[str, int], *, padded: bool, seed: int = 0) -> dict[str, Tensor]:
    """Return inputs of other sizes than the graph was traced with, with padding where it takes a mask."""
    draw = torch.Generator().manual_seed(seed)
    past = "past_key_values.0.key" in part.inputs

    def size(name: str, old: int) -> int:
        if name == "past_sequence_length + sequence_length":
            return sizes["past_sequence_length"] + sizes["sequence_length"]
        if name == "audio_sequence_length":
            return int(old * 1.37)
        return old + 32 if name in ("height", "width") else sizes.get(name, old)

    if "pixel_values" in part.inputs and "input_ids" in part.inputs and "pixel_mask" not in part.inputs:
        sizes = {**sizes, "text_batch_size": 3 * sizes["batch_size"]}
    given = {}
    for name, example in part.inputs.items():
        free = part.axes[name]
        shape = [size(free[axis], old) if axis in free else old for axis, old in enumerate(example.shape)]
        if "mask" in name:
            mask = torch.ones(shape, dtype=example.dtype)
            if padded:
                hidden = slice(0, shape[-1] // 3) if past else slice(shape[-1] - shape[-1] // 3, None)
                mask[-1, ..., hidden] = 0
            given[name] = mask
        elif example.is_floating_point():
            given[name] = torch.randn(shape, generator=draw) / 2
        elif name == "position_ids":
            before = sizes["past_sequence_length"] if past else 0
            given[name] = torch.arange(before, before + shape[1]).expand(shape).contiguous()
        elif name in ("token_type_ids", "is_longer"):
            given[name] = torch.randint(0, 2, shape, generator=draw).to(example.dtype)
        else:
            words = torch.randint(3, 30, shape, generator=draw)
            words[..., -1] = example.flatten()[-1]
            given[name] = words
    return given


def apart(part: Part, path: Path, given: dict[str, Tensor]) -> float:
    """Return the largest difference between a graph and its model, wherever no padding is asked.

    A difference at a number x counts 1 / (1 + |x|) times: depths of 19 differ by 2e-4 between two orders of summing,
    and either by as much from double precision.
    """
    with torch.no_grad():
        expected = part.module(*(given[name] for name in part.inputs))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    found = session.run(list(part.outputs), {name: x.numpy() for name, x in given.items() if name in known})
    worst = 0.0
    for name, ours, theirs in zip(part.outputs, expected, found, strict=True):
        assert tuple(ours.shape) == theirs.shape, name
        keep = _kept(name, ours, given)
        wanted = ours[keep].numpy()
        difference = np.abs(wanted - theirs[keep.numpy()]) / (1 + np.abs(wanted))
        assert not np.isnan(difference).any(), name
        worst = max(worst, float(difference.max(initial=0.0)))
    return worst


def _kept(name: str, output: Tensor, given: dict[str, Tensor]) -> Tensor:
    """Return which numbers of an output are asked of real tokens: what padding sees is nobody's."""
    mask: Any = given.get("encoder_attention_mask" if ".encoder." in name else "attention_mask")
    keep = torch.ones_like(output, dtype=torch.bool)
    if mask is None or mask.dim() != 2 or ".decoder." in name:
        return keep
    if output.dim() == 4 and output.shape[2] == mask.shape[1]:
        keep &= mask.bool()[:, None, :, None]
    elif "input_ids" in given and "decoder_input_ids" not in given and output.shape[:2] == given["input_ids"].shape:
        real = mask[:, -output.shape[1] :].bool()
        keep &= real.view(*real.shape, *[1] * (output.dim() - 2))
    return keep
