"""Calls of a model server, made by the client that is named: ``python inference_cases.py MODULE ADDRESS``."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

MESSAGES = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def plain(value: Any) -> Any:
    """Return an answer as JSON: arrays as lists, images as their size, bytes as hexadecimal digits."""
    if hasattr(value, "tolist"):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "getbbox"):
        return list(value.size)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def calls(client: Any) -> dict[str, Any]:
    """Return what each call answers, by its name."""
    sound, image = b"RIFFsound", PNG
    return {
        "chat": lambda: client.chat_completion(MESSAGES, max_tokens=5, tools=[TOOL], tool_choice="auto"),
        "openai": lambda: client.chat.completions.create(messages=MESSAGES, model="m", extra_body={"more": 1}),
        "chat stream": lambda: list(client.chat_completion(MESSAGES, stream=True, temperature=0.5)),
        "text": lambda: client.text_generation("Once", max_new_tokens=3, stop=["."]),
        "text details": lambda: client.text_generation("Once", details=True, do_sample=True, top_p=0.9),
        "text stream": lambda: list(client.text_generation("Once", stream=True)),
        "text stream details": lambda: list(client.text_generation("Once", stream=True, details=True)),
        "features": lambda: client.feature_extraction("Hi", normalize=True, truncation_direction="left"),
        "similar": lambda: client.sentence_similarity("a", ["b", "c"]),
        "classify": lambda: client.text_classification("good", top_k=2),
        "tokens": lambda: client.token_classification("Ann in Rome", aggregation_strategy="simple"),
        "zero shot": lambda: client.zero_shot_classification("text", ["a", "b"], multi_label=True),
        "mask": lambda: client.fill_mask("a <mask>", top_k=1),
        "question": lambda: client.question_answering("Who?", "Ann.", max_answer_len=3),
        "table": lambda: client.table_question_answering({"a": ["1"]}, "how many?", sequential=True),
        "rows": lambda: client.tabular_classification({"a": ["1"]}),
        "summary": lambda: client.summarization("long", generate_parameters={"max_length": 3}),
        "translate": lambda: client.translation("Hi", src_lang="en", tgt_lang="fr"),
        "hear": lambda: client.automatic_speech_recognition(b"RIFFspeech"),
        "sounds": lambda: client.audio_classification(sound),
        "voices": lambda: client.audio_to_audio(sound),
        "see": lambda: client.image_classification(image, top_k=2),
        "masks": lambda: client.image_segmentation(image, threshold=0.5),
        "things": lambda: client.object_detection(image),
        "caption": lambda: client.image_to_text(image),
        "document": lambda: client.document_question_answering(image, "What?"),
        "zero shot image": lambda: client.zero_shot_image_classification(image, ["a", "b"]),
        "paint": lambda: client.text_to_image("a cat", width=8, seed=1),
        "repaint": lambda: client.image_to_image(image, "blue"),
        "say": lambda: client.text_to_speech("hi"),
        "info": lambda: client.get_endpoint_info(),
        "health": lambda: client.health_check(),
        "overloaded": lambda: client.text_generation("FAIL"),
        "broken stream": lambda: list(client.text_generation("FAIL", stream=True)),
        "no image": lambda: client.image_to_text("/no/such/file.png"),
    }


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da63fcff1f0003030200efa37c9f"
    "0000000049454e44ae426082"
)


def run(module: str, address: str) -> dict[str, Any]:
    client = importlib.import_module(module).InferenceClient(address, provider="hf-inference", token="hf_x", timeout=20)
    said: dict[str, Any] = {}
    for name, call in calls(client).items():
        try:
            said[name] = plain(call())
        except Exception as error:
            said[name] = type(error).__name__
    return said


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:])))
