"""CTranslate2's files: read as they are written, refused where they are damaged."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.checkpoints.ctranslate2 import CTranslate2
from enfold.checkpoints.errors import CheckpointError

NUMBERS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
CONFIG = {
    "vocab_size": 51865,
    "d_model": 8,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 12,
    "decoder_ffn_dim": 10,
    "num_mel_bins": 4,
    "max_source_positions": 6,
    "max_target_positions": 9,
}


def write(path: Path, tensors: dict[str, np.ndarray], aliases: dict[str, str] | None = None, kind: str = "Any") -> None:
    """Write a file of version 6."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    with path.open("wb") as file:
        file.write(struct.pack("<I", 6) + text(kind) + struct.pack("<II", 3, len(tensors)))
        for name, array in tensors.items():
            file.write(text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape))
            file.write(struct.pack("<BI", NUMBERS[str(array.dtype)], array.nbytes) + array.tobytes())
        file.write(struct.pack("<I", len(aliases or {})))
        for second, first in (aliases or {}).items():
            file.write(text(second) + text(first))


def exported(model: Any) -> dict[str, np.ndarray]:
    """Return a Whisper's weights as CTranslate2 lays them out."""
    found: dict[str, np.ndarray] = {}

    def put(name: str, *layers: Any) -> None:
        found[f"{name}/weight"] = np.concatenate([layer.weight.numpy() for layer in layers])
        biases = [np.zeros(len(x.weight), "float32") if x.bias is None else x.bias.numpy() for x in layers]
        found[f"{name}/bias"] = np.concatenate(biases)

    def norm(name: str, layer: Any) -> None:
        found[f"{name}/gamma"], found[f"{name}/beta"] = layer.weight.numpy(), layer.bias.numpy()

    for side in ("encoder", "decoder"):
        part = getattr(model.model, side)
        found[f"{side}/num_heads"] = np.array(2, "int16")
        found[f"{side}/position_encodings/encodings"] = part.embed_positions.weight.numpy()
        norm(f"{side}/layer_norm", part.layer_norm)
        for index, layer in enumerate(part.layers):
            at = f"{side}/layer_{index}"
            own = layer.self_attn
            put(f"{at}/self_attention/linear_0", own.q_proj, own.k_proj, own.v_proj)
            put(f"{at}/self_attention/linear_1", own.out_proj)
            norm(f"{at}/self_attention/layer_norm", layer.self_attn_layer_norm)
            if side == "decoder":
                crossed = layer.encoder_attn
                put(f"{at}/attention/linear_0", crossed.q_proj)
                put(f"{at}/attention/linear_1", crossed.k_proj, crossed.v_proj)
                put(f"{at}/attention/linear_2", crossed.out_proj)
                norm(f"{at}/attention/layer_norm", layer.encoder_attn_layer_norm)
            put(f"{at}/ffn/linear_0", layer.fc1)
            put(f"{at}/ffn/linear_1", layer.fc2)
            norm(f"{at}/ffn/layer_norm", layer.final_layer_norm)
    put("encoder/conv1", model.model.encoder.conv1)
    put("encoder/conv2", model.model.encoder.conv2)
    found["decoder/embeddings/weight"] = model.model.decoder.embed_tokens.weight.numpy()
    return found


def test_a_whisper_is_read_back_with_its_special_tokens(tmp_path: Path) -> None:
    with torch.no_grad():
        model = tf.WhisperForConditionalGeneration(tf.WhisperConfig(**CONFIG)).eval()
        for weight in model.parameters():
            weight.requires_grad_(False)
        tensors = exported(model)
        aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
        write(tmp_path / "model.bin", tensors, aliases, "WhisperSpec")
        (tmp_path / "config.json").write_text(json.dumps({"suppress_ids": [1, 2], "alignment_heads": [[0, 1]]}))
        back, info = tf.WhisperForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
        assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
        sound, ids = torch.randn(2, 4, 12), torch.tensor([[50258, 7], [50258, 9]])
        here = model(sound, decoder_input_ids=ids).logits
        torch.testing.assert_close(back(sound, decoder_input_ids=ids).logits, here, rtol=1e-5, atol=1e-5)
    settings = back.generation_config
    assert settings.lang_to_id["<|en|>"] == 50259 and settings.lang_to_id["<|su|>"] == 50357
    assert settings.task_to_id == {"translate": 50358, "transcribe": 50359}
    assert settings.no_timestamps_token_id == 50363 and settings.alignment_heads == [[0, 1]]
    assert back.config.encoder_layers == 2 and back.config.decoder_layers == 1


def test_whole_numbers_become_what_they_stand_for(tmp_path: Path) -> None:
    rows = np.array([[10, -20], [30, 127]], "int8")
    write(
        tmp_path / "model.bin",
        {"a/weight": rows, "a/weight_scale": np.array([10.0, 127.0], "float32"), "b": np.array([1.5], "float16")},
        {"c": "b"},
    )
    file = CTranslate2(tmp_path / "model.bin")
    assert (file.kind, file.revision, file.names) == ("Any", 3, ["a/weight", "a/weight_scale", "b", "c"])
    torch.testing.assert_close(file.tensor("a/weight"), torch.tensor([[1.0, -2.0], [30 / 127, 1.0]]))
    assert file.tensor("c").dtype == torch.float16 and float(file.tensor("c")) == 1.5


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write(path, {"b": np.arange(6, dtype="float32")})
    whole = path.read_bytes()
    for length in range(4, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cut off"):
            CTranslate2(path)
    path.write_bytes(b"PK\x03\x04" + whole)
    with pytest.raises(CheckpointError, match="version 2 to 6"):
        CTranslate2(path)
    write(path, {"b": np.arange(6, dtype="float32")}, kind="TransformerSpec")
    with pytest.raises(CheckpointError, match="TransformerSpec"):
        tf.WhisperModel.from_pretrained(tmp_path)
