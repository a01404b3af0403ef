"""Run by the peers' Python: writes GGUF files of random numbers with the format's own package, and says what it and
transformers make of them.

``peer_gguf.py FOLDER``: one file with a tensor of each type, and a tiny model of each architecture.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(sys.argv[1])
torch.set_num_threads(1)
rng = np.random.default_rng(0)

# type → where in a block half-precision numbers lie
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}  # fmt: skip
IDS = [[3, 17, 5, 40, 11, 8, 2], [60, 1, 2, 3, 4, 5, 6]]
WIDTH, INNER, VOCAB = 64, 96, 70


def blocks() -> dict[str, np.ndarray]:
    """Write a tensor of each type and return what the package unpacks."""
    writer, found = GGUFWriter(FOLDER / "blocks.gguf", "test"), {}
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_array("some.words", ["a", "b c"])
    writer.add_float32("a.float", 0.5)
    writer.add_bool("a.truth", True)
    for name, halves in HALVES.items():
        kind = GGMLQuantizationType[name]
        size = GGML_QUANT_SIZES[kind][1]
        raw = rng.integers(0, 256, (3, 2 * size), dtype=np.uint8)
        flat = raw.reshape(-1, size)
        for at in halves:
            flat[:, at : at + 2] = rng.normal(size=(len(flat), 1)).astype(np.float16).view(np.uint8)
        if name == "MXFP4":
            flat[:, 0] = rng.integers(120, 132, len(flat))
        writer.add_tensor(name, raw, raw_dtype=kind)
        found[f"block|{name}"] = quants.dequantize(raw, kind)
    for name, dtype in {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32}.items():
        values = np.arange(6, dtype=dtype).reshape(2, 3)
        writer.add_tensor(name, values)
        found[f"block|{name}"] = values
    finish(writer)
    return found


def finish(writer: GGUFWriter) -> None:
    """Write what the writer holds."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def head(arch: str) -> int:
    """Return the size of a head; transformers does not look at what a file of Qwen3 says of it."""
    return 128 if arch == "qwen3" else WIDTH // 4


def layer(arch: str) -> dict[str, tuple[int, ...]]:
    """Return name → shape of a layer's tensors."""
    heads, shared, dim = 4, 2, head(arch)
    if arch == "gpt2":
        return {
            "attn_norm.weight": (WIDTH,), "attn_norm.bias": (WIDTH,), "ffn_norm.weight": (WIDTH,),
            "ffn_norm.bias": (WIDTH,), "attn_qkv.weight": (3 * WIDTH, WIDTH), "attn_qkv.bias": (3 * WIDTH,),
            "attn_output.weight": (WIDTH, WIDTH), "attn_output.bias": (WIDTH,),
            "ffn_up.weight": (4 * WIDTH, WIDTH), "ffn_up.bias": (4 * WIDTH,),
            "ffn_down.weight": (WIDTH, 4 * WIDTH), "ffn_down.bias": (WIDTH,),
        }  # fmt: skip
    found: dict[str, tuple[int, ...]] = {"attn_norm.weight": (WIDTH,), "ffn_norm.weight": (WIDTH,)}
    if arch == "phi3":
        found |= {"attn_qkv.weight": ((heads + 2 * shared) * dim, WIDTH), "ffn_up.weight": (2 * INNER, WIDTH)}
    else:
        sizes = {"attn_q": heads * dim, "attn_k": shared * dim, "attn_v": shared * dim}
        found |= {f"{name}.weight": (size, WIDTH) for name, size in sizes.items()}
        found |= {f"{name}.bias": (size,) for name, size in sizes.items() if arch == "qwen2"}
        found |= {"ffn_up.weight": (INNER, WIDTH), "ffn_gate.weight": (INNER, WIDTH)}
    if arch in ("qwen3", "gemma3"):
        found |= {"attn_q_norm.weight": (dim,), "attn_k_norm.weight": (dim,)}
    if arch in ("gemma2", "gemma3"):
        found |= {"post_attention_norm.weight": (WIDTH,), "post_ffw_norm.weight": (WIDTH,)}
    return {**found, "attn_output.weight": (WIDTH, heads * dim), "ffn_down.weight": (WIDTH, INNER)}


def model(arch: str, path: Path, *, tied: bool) -> None:
    """Write a tiny model."""
    writer = GGUFWriter(path, arch)
    writer.add_block_count(2)
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(4 * WIDTH if arch == "gpt2" else INNER)
    writer.add_head_count(4)
    writer.add_vocab_size(VOCAB)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    if arch == "gpt2":
        writer.add_layer_norm_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token {number}" for number in range(VOCAB)])
    else:
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(5000.0)
        writer.add_rope_dimension_count(head(arch))
        writer.add_key_length(head(arch))
    if arch in ("gemma2", "gemma3"):
        writer.add_sliding_window(4)
    if arch == "llama":
        vocabulary(writer)
    tensors = {f"blk.{number}.{name}": size for number in range(2) for name, size in layer(arch).items()}
    tensors |= {"token_embd.weight": (VOCAB, WIDTH), "output_norm.weight": (WIDTH,)}
    if arch == "gpt2":
        tensors |= {"output_norm.bias": (WIDTH,), "position_embd.weight": (1024, WIDTH)}
    if not tied:
        tensors["output.weight"] = (VOCAB, WIDTH)
    for name, size in tensors.items():
        values = rng.normal(0, 0.2, size).astype(np.float32) + ("norm.weight" in name)
        if len(size) == 2 and size[1] % 32 == 0 and "position" not in name:
            kind = GGMLQuantizationType.Q8_0 if "ffn" in name else GGMLQuantizationType.F16
            writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    finish(writer)


def vocabulary(writer: GGUFWriter) -> None:
    """Write the pieces of a SentencePiece vocabulary with bytes to fall back to."""
    pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "▁a", "ab", "▁ab", "bc", "▁abc", "abc", "é"]
    pieces += [f"<0x{byte:02X}>" for byte in range(32, 32 + VOCAB - len(pieces))]
    kinds = [2, 3, 3] + [1] * 11 + [6] * (VOCAB - 14)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([0.0, 0.0, 0.0] + [-float(place) for place in range(VOCAB - 3)])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)


arrays = blocks()
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2")
for arch in ARCHITECTURES:
    name = f"{arch}.gguf"
    model(arch, FOLDER / name, tied=arch in ("gpt2", "gemma2", "qwen2"))
    made = AutoModelForCausalLM.from_pretrained(
        FOLDER, gguf_file=name, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        arrays[f"model|{arch}"] = made(torch.tensor(IDS)).logits.numpy()
np.savez(os.environ["PEER_NPZ"], **arrays)
texts = ["abc ab a", "b  é", "a!?c"]
print(json.dumps({"ids": AutoTokenizer.from_pretrained(FOLDER, gguf_file="llama.gguf")(texts)["input_ids"]}))
