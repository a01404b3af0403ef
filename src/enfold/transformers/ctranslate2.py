"""Whisper out of CTranslate2's folders (``model.bin`` with its ``config.json``), as faster-whisper's are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.checkpoints.ctranslate2 import CTranslate2
from enfold.checkpoints.errors import CheckpointError
from enfold.transformers.configs.whisper import WhisperConfig
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.tokenization.whisper import LANGUAGES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Whisper", "open_whisper"]

FILE = "model.bin"
# name in the file → name in the model; outside layers, and in them
OUTSIDE = {
    "embeddings": "embed_tokens",
    "layer_norm": "layer_norm",
    "conv1": "conv1",
    "conv2": "conv2",
}
INSIDE = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
LEAVES = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def open_whisper(folder: Any) -> Whisper | None:
    """Return the Whisper of a local folder with a CTranslate2 model, or None where it has none.

    Raises:
        CheckpointError: for a model of another kind, or a damaged one.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    file = CTranslate2(path)
    if file.kind != "WhisperSpec":
        raise CheckpointError(f"{path} is a CTranslate2 model of kind {file.kind!r}; only Whisper's are read here")
    about = Path(folder) / "config.json"
    return Whisper(file, json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {})


class Whisper:
    """A Whisper in CTranslate2's format.

    Args:
        file: its tensors.
        about: its ``config.json``.
    """

    def __init__(self, file: CTranslate2, about: dict[str, Any]) -> None:
        self.file, self.about = file, about
        self._words = self._shape("decoder/embeddings/weight")[0]

    def config(self) -> WhisperConfig:
        """Return the numbers that the tensors' shapes tell."""
        end = 50257 if self._words >= 51865 else 50256  # the multilingual vocabulary has one token more
        return WhisperConfig(
            vocab_size=self._words,
            num_mel_bins=self._shape("encoder/conv1/weight")[1],
            d_model=self._shape("decoder/embeddings/weight")[1],
            encoder_layers=self._layers("encoder"),
            decoder_layers=self._layers("decoder"),
            encoder_attention_heads=int(self.file.tensor("encoder/num_heads")),
            decoder_attention_heads=int(self.file.tensor("decoder/num_heads")),
            encoder_ffn_dim=self._shape("encoder/layer_0/ffn/linear_0/weight")[0],
            decoder_ffn_dim=self._shape("decoder/layer_0/ffn/linear_0/weight")[0],
            max_source_positions=self._shape("encoder/position_encodings/encodings")[0],
            max_target_positions=self._shape("decoder/position_encodings/encodings")[0],
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=end + 1,
            begin_suppress_tokens=self.about.get("suppress_ids_begin", [220, end]),
            suppress_tokens=self.about.get("suppress_ids"),
            architectures=["WhisperForConditionalGeneration"],
        )

    def generation_config(self) -> GenerationConfig:
        """Return how it writes: the special tokens follow from the size of the vocabulary."""
        multilingual = self._words >= 51865
        start = 50258 if multilingual else 50257
        languages = self._words - 51765 - int(multilingual)
        # after the languages: translate, transcribe, startoflm, startofprev, nospeech, notimestamps
        after = start + 1 + languages
        settings: dict[str, Any] = {
            "max_length": self._shape("decoder/position_encodings/encodings")[0],
            "pad_token_id": start - 1,
            "bos_token_id": start - 1,
            "eos_token_id": start - 1,
            "decoder_start_token_id": start,
            "begin_suppress_tokens": self.about.get("suppress_ids_begin", [220, start - 1]),
            "suppress_tokens": self.about.get("suppress_ids"),
            "is_multilingual": multilingual,
            "prev_sot_token_id": after + 3,
            "no_timestamps_token_id": after + 5,
            "max_initial_timestamp_index": 50,
        }
        if self.about.get("alignment_heads"):
            settings["alignment_heads"] = self.about["alignment_heads"]
        if multilingual:
            codes = list(LANGUAGES)[:languages]
            settings["lang_to_id"] = {f"<|{code}|>": start + 1 + place for place, code in enumerate(codes)}
            settings["task_to_id"] = {"translate": after, "transcribe": after + 1}
        return GenerationConfig(**settings)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors under the model's names.

        Raises:
            CheckpointError: for a tensor that has no place in the model.
        """
        return dict(pair for name in self.file.names for pair in self._named(name))

    def _named(self, name: str) -> Iterator[tuple[str, Tensor]]:
        side, _, rest = name.partition("/")
        where, _, leaf = rest.rpartition("/")
        if rest == "position_encodings/encodings":
            yield f"model.{side}.embed_positions.weight", self.file.tensor(name)
            return
        if leaf not in LEAVES or where == "projection":
            return  # scales of other tensors, settings of the decoder; the projection is the embedding
        layer = re.fullmatch(r"layer_(\d+)/(.*)", where)
        table: dict[str, Any] = OUTSIDE if layer is None else INSIDE
        target = table.get(where if layer is None else layer[2])
        if target is None:
            raise CheckpointError(f"{self.file.path}: {name} has no place in Whisper")
        prefix = f"model.{side}." if layer is None else f"model.{side}.layers.{layer[1]}."
        tensor, end = self.file.tensor(name), LEAVES[leaf]
        if isinstance(target, str):
            yield f"{prefix}{target}.{end}", tensor
            return
        for part, rows in zip(target, tensor.chunk(len(target)), strict=True):
            if not (end == "bias" and part.endswith("k_proj")):  # keys have none: the file holds zeros
                yield f"{prefix}{part}.{end}", rows

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.file.tensor(name).shape)

    def _layers(self, side: str) -> int:
        found = {name.split("/")[1] for name in self.file.names if name.startswith(f"{side}/layer_")}
        return len(found - {"layer_norm"})
