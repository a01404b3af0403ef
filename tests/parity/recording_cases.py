"""Run by both libraries: what Whisper heard in the windows of long recordings, joined; JSON on the last line."""

from __future__ import annotations

import importlib
import json
import random
import sys
from typing import Any

TEXT = (
    ' The quick brown fox said: "Hello world, don\'t go!" and the lower newest widest thing was here. A second text of '
    "the recording, with 24 numbers (and brackets), went on, and on, and on. It ended."
)


def windows(tokenizer: Any, draw: random.Random, strides: bool, stamps: bool) -> list[dict[str, Any]]:
    """Return outputs as a model gives them for overlapping windows of one text."""
    import numpy

    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    first = tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1
    start, transcribe = (tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("startoftranscript", "transcribe"))
    found = []
    at, count = 0, draw.randint(1, 4)
    for number in range(count):
        size = draw.randint(5, 30)
        part = [id if draw.random() > 0.05 else draw.randint(300, 900) for id in ids[at : at + size]]
        at += max(1, size - draw.randint(0, 6))
        language = tokenizer.convert_tokens_to_ids(f"<|{draw.choice(['en', 'en', 'en', 'fr', 'zh'])}|>")
        tokens = [start, language, transcribe] if draw.random() < 0.8 else []
        if stamps:
            time = draw.randint(0, 100)
            tokens.append(first + time)
            while part:
                cut = draw.randint(1, 12)
                time += draw.randint(1, 300)
                tokens += [*part[:cut], first + min(time, 1500)]
                part = part[cut:]
                if draw.random() < 0.8:
                    time += draw.randint(0, 40)
                    tokens.append(first + min(time, 1500))
                if draw.random() < 0.1:
                    time = draw.randint(0, 50)
        else:
            tokens += part
        window: dict[str, Any] = {"tokens": numpy.array([tokens])}
        if strides:
            window["stride"] = (30.0, 5.0 if number else 0.0, 5.0 if number < count - 1 else 0.0)
        times = sorted(round(draw.uniform(0, 30), 2) for _ in tokens)
        window["token_timestamps"] = numpy.array([times])
        found.append(window)
    return found


def main(name: str, folder: str) -> dict[str, Any]:
    library = importlib.import_module(name)
    tokenizer = library.WhisperTokenizer.from_pretrained(folder)
    found: dict[str, Any] = {}
    for seed in range(150):
        for kind in (True, False, "word"):
            draw = random.Random(seed)
            outputs = windows(tokenizer, draw, strides=seed % 2 == 0, stamps=bool(kind) or seed % 3 == 0)
            for language in (False, True):
                try:
                    text, more = tokenizer._decode_asr(
                        outputs, return_timestamps=kind, return_language=language, time_precision=0.02
                    )
                    made: Any = [text, more]
                except Exception as error:
                    made = "error " + type(error).__name__
                found[f"{seed} {kind} {language}"] = made
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
