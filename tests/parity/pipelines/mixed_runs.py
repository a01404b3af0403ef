"""Calls of the pipelines for two kinds of input at once that both sides make, on the same tiny models."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from parity.architectures.images_and_texts import BLIP, EQUAL, VILT
from parity.architectures.sounds import FUSED, HEARD, WORDS, musicgen
from parity.architectures.two_towers import CLIP, OWL, SIGLIP
from parity.pipelines.image_runs import pictures, plain

# words of one letter, so that every text has ids; the last entry ends a text
VOCABULARY = [
    "[unused0]",
    "[PAD]",
    "[CLS]",
    "[UNK]",
    *string.ascii_lowercase,
    *(f"##{c}" for c in string.ascii_lowercase),
]
VOCABULARY += [".", ",", "?", "!", *(f"[more{place}]" for place in range(98 - len(VOCABULARY) - 4)), "[SEP]"]
SQUARE = {"height": 30, "width": 30}
CUT = {"size": {"shortest_edge": 30}, "crop_size": SQUARE}
SOUND = {
    "feature_size": 16,
    "sampling_rate": 8000,
    "hop_length": 160,
    "fft_window_size": 256,
    "max_length_s": 1,
    "frequency_max": 4000,
}


def longer(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose texts may have three hundred tokens."""
    return {**config, "text_config": {**config["text_config"], "max_position_embeddings": 300}}


def clap(audio: dict[str, Any]) -> dict[str, Any]:
    """Return CLAP's configuration."""
    words = {**WORDS, "max_position_embeddings": 80, "projection_dim": 20}
    return {"text_config": words, "audio_config": audio, "projection_dim": 20}


# folder → (class, configuration or a function of the library to it, its other part, that part's settings)
MODELS: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "clip": ("CLIPModel", longer(CLIP), "CLIPImageProcessor", CUT),
    "siglip": ("SiglipModel", longer(SIGLIP), "SiglipImageProcessor", {"size": SQUARE}),
    "owlvit": ("OwlViTForObjectDetection", longer(OWL), "OwlViTImageProcessor", {"size": SQUARE}),
    "clap": ("ClapModel", clap(HEARD), "ClapFeatureExtractor", {**SOUND, "truncation": "rand_trunc"}),
    "clap-fused": ("ClapModel", clap(FUSED), "ClapFeatureExtractor", {**SOUND, "truncation": "fusion"}),
    "musicgen": ("MusicgenForConditionalGeneration", musicgen(), "EncodecFeatureExtractor", {}),
    "vilt": (
        "ViltForQuestionAnswering",
        {**VILT, "num_labels": 9},
        "ViltImageProcessor",
        {"size": {"shortest_edge": 30}, "size_divisor": 10},
    ),
    "blip": ("BlipForConditionalGeneration", longer(BLIP), "BlipImageProcessor", {"size": SQUARE}),
    "blip-answers": ("BlipForQuestionAnswering", longer(EQUAL), "BlipImageProcessor", {"size": SQUARE}),
}
LABELS = ["cat", "a dog", "red bus!"]

# name → (task, folder, arguments of the call)
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "shown": ("zero-shot-image-classification", "clip", {"candidate_labels": LABELS}),
    "shown-so": (
        "zero-shot-image-classification",
        "clip",
        {"candidate_labels": LABELS[:2], "hypothesis_template": "is it {}?"},
    ),
    "shown-each": ("zero-shot-image-classification", "siglip", {"candidate_labels": LABELS}),
    "found": ("zero-shot-object-detection", "owlvit", {"threshold": 0.0001}),
    "found-best": ("zero-shot-object-detection", "owlvit", {"threshold": 0.0001, "top_k": 4}),
    "heard": ("zero-shot-audio-classification", "clap", {"candidate_labels": LABELS}),
    "heard-so": (
        "zero-shot-audio-classification",
        "clap-fused",
        {"candidate_labels": LABELS, "hypothesis_template": "{} then"},
    ),
    "music": (
        "text-to-audio",
        "musicgen",
        {
            "forward_params": {
                "max_new_tokens": 8,
                "do_sample": False,
                "pad_token_id": 16,
                "decoder_start_token_id": 16,
            }
        },
    ),
    "asked": ("visual-question-answering", "vilt", {}),
    "asked-two": ("visual-question-answering", "vilt", {"top_k": 2}),
    "asked-writes": ("visual-question-answering", "blip-answers", {}),
    "written": ("image-to-text", "blip", {"max_new_tokens": 6}),
    "written-beams": ("image-to-text", "blip", {"generate_kwargs": {"num_beams": 3, "max_new_tokens": 5}}),
    "written-on": ("image-to-text", "blip", {"prompt": "a cat", "max_new_tokens": 5}),
}
QUESTIONS = ["what?", "is it a cat?"]


def sounds() -> list[Any]:
    """Return two recordings of unlike length."""
    import numpy as np

    return [np.sin(np.arange(samples) * 0.05).astype("float32") for samples in (3000, 7000)]


def inputs(task: str) -> list[Any]:
    """Return what a task is asked."""
    if task == "zero-shot-audio-classification":
        return sounds()
    if task == "text-to-audio":
        return ["a calm song", "drums."]
    if task == "zero-shot-object-detection":
        return [{"image": picture, "candidate_labels": LABELS} for picture in pictures()[:2]]
    if task == "visual-question-answering":
        return [{"image": one, "question": asked} for one, asked in zip(pictures(), QUESTIONS, strict=False)]
    return pictures()[:2]


def by_hand(library: Any, task: str, folder: Path, options: dict[str, Any]) -> Any:
    """Return a function that does what the fourth series' pipeline did, where a library has no such task any more."""
    import torch

    kind = getattr(library, MODELS[folder.name][0])
    model = kind.from_pretrained(folder).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    look = library.AutoImageProcessor.from_pretrained(folder, use_fast=False)
    writing = dict(options.get("generate_kwargs", {}))
    writing |= {key: value for key, value in options.items() if key == "max_new_tokens"}

    def answer(asked: Any) -> Any:
        image, text = (asked["image"], asked["question"]) if isinstance(asked, dict) else (asked, options.get("prompt"))
        given = {} if text is None else dict(tokenizer(text, return_tensors="pt"))
        given.update(look(images=image, return_tensors="pt"))
        with torch.no_grad():
            if folder.name == "vilt":
                best = model(**given).logits.sigmoid()[0].topk(options.get("top_k", 5))
                pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
                return [{"score": score, "answer": model.config.id2label[place]} for score, place in pairs]
            rows = model.generate(**given, **{"max_new_tokens": 256, **writing})
        texts = [tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        asks = task == "visual-question-answering"
        return [{"answer": one.strip()} if asks else {"generated_text": one} for one in texts]

    return answer


def answers(library: Any, root: Any) -> dict[str, Any]:
    """Return the answers of every call, one by one, and as a list."""
    import numpy as np

    found: dict[str, Any] = {}
    known = library.pipelines.PIPELINE_REGISTRY.get_supported_tasks()
    for name, (task, folder, options) in RUNS.items():
        if task not in known:
            ask = by_hand(library, task, Path(root) / folder, options)
            found[name] = [plain(ask(one)) for one in inputs(task)]
            found[f"{name}-list"] = found[name][:1]
            continue
        pipe = library.pipeline(task, model=str(root / folder), device=-1)
        np.random.seed(3)  # long recordings are cut at places drawn from numpy
        found[name] = plain([pipe(one, **options) for one in inputs(task)])
        found[f"{name}-list"] = plain(pipe(inputs(task)[:1], **options))
        if task == "text-to-audio":  # the fifth series drops the axes of length one
            for one in (*found[name], *found[f"{name}-list"]):
                one["audio"] = np.ravel(one["audio"]).tolist()
    return found
