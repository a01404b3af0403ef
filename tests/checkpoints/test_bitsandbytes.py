"""Checkpoints of bitsandbytes: its own bytes are read as it reads them, and models keep exactly what is stored.

``bitsandbytes_golden.safetensors`` was made by bitsandbytes 0.50.2 on a processor: weights of 24 x 64 by
``quantize_4bit``, their states by ``QuantState.as_dict(packed=True)``, and what ``dequantize_4bit`` makes of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold.checkpoints import BitsAndBytes, CheckpointError
from enfold.nn.int8 import Int8Linear
from enfold.nn.quantized import CODES, Linear4bit, quantize_4bit
from enfold.transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

GOLDEN = Path(__file__).with_name("bitsandbytes_golden.safetensors")


def test_its_own_bytes_are_read_as_it_reads_them() -> None:
    read = BitsAndBytes([GOLDEN])
    assert read.packed == {"nf4-True", "nf4-False", "fp4-True"}
    assert set(read) == {f"{name}.{what}" for name in read.packed for what in ("weight", "dense")}
    for name in read.packed:
        weight, dense = read[f"{name}.weight"], read[f"{name}.dense"]
        assert weight.dtype is torch.bfloat16 and torch.equal(weight, dense)
    read.close()


def packed(weight: torch.Tensor, kind: str) -> dict[str, torch.Tensor]:
    made = quantize_4bit(weight, kind)
    state = {"quant_type": kind, "blocksize": 64, "dtype": str(weight.dtype)[6:], "shape": list(weight.shape)}
    return {
        "": made.codes[:, None],
        ".absmax": made.scales,
        ".quant_map": torch.tensor(CODES[kind]),
        f".quant_state.bitsandbytes__{kind}": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
    }


def rows_of_eight_bits(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    largest = weight.float().abs().amax(1)
    return (weight.float() / largest[:, None] * 127).round().to(torch.int8), largest


@pytest.mark.parametrize("bits", ["nf4", "fp4", "eight"])
def test_a_model_keeps_what_is_stored_over_several_files(tmp_path: Path, bits: str) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict().items():
        if not name.endswith("_proj.weight") or "k_proj" in name:  # one layer is left as it is
            state[name] = weight
        elif bits == "eight":
            state[name], state[name.replace(".weight", ".SCB")] = rows_of_eight_bits(weight)
            state[f"{name}_format"] = torch.tensor(0, dtype=torch.uint8)
        else:
            state.update({name + part: value for part, value in packed(weight, bits).items()})
    names = sorted(state)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, own in files.items():
        save_file({name: state[name].contiguous() for name in own}, tmp_path / file, metadata={"format": "pt"})
    places = {name: file for file, own in files.items() for name in own}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    config = json.loads((tmp_path / "config.json").read_text())
    four = bits != "eight"
    asked: dict[str, Any] = {"quant_method": "bitsandbytes", "load_in_4bit": four, "load_in_8bit": not four}
    asked |= {"_load_in_4bit": four, "bnb_4bit_quant_type": bits if four else "fp4", "bnb_4bit_use_double_quant": True}
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": asked}))
    read = AutoModelForCausalLM.from_pretrained(tmp_path)
    kind = Linear4bit if four else Int8Linear
    layers = {name: layer for name, layer in read.named_modules() if isinstance(layer, kind)}
    assert len(layers) == 6 and not any("k_proj" in name or "lm_head" in name for name in layers)
    source = BitsAndBytes(tmp_path / file for file in files)
    for name, layer in layers.items():
        exact = torch.equal if four else torch.allclose
        assert exact(layer.dequantize(), source[f"{name}.weight"]), name
    ids = torch.tensor([[3, 9, 4, 7]])
    assert (read(ids).logits - model(ids).logits).norm() < 0.4 * model(ids).logits.norm()


def test_what_is_missing_or_unknown_is_named(tmp_path: Path) -> None:
    state = {f"a.weight{part}": value for part, value in packed(torch.randn(2, 64), "nf4").items()}
    save_file({name: value for name, value in state.items() if "absmax" not in name}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.weight is in four bits"):
        BitsAndBytes([tmp_path / "a.safetensors"])
    whole = load_file(GOLDEN)
    name = "nf4-False.weight.quant_state.bitsandbytes__nf4"
    settings = {**json.loads(bytes(whole[name].tolist())), "blocksize": 128}
    whole[name] = torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)
    save_file(whole, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="in blocks of 128"):
        BitsAndBytes([tmp_path / "b.safetensors"])["nf4-False.weight"]
