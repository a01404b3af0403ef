"""Answer with a model: ``python -I answer.py FOLDER TASK``; a request and an answer are a line of JSON each.

A program of its own, run confined: the weights are anybody's, and a model may need more memory than it may have.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_OPTIONS: dict[str, dict[str, Any]] = {
    "text-generation": {"max_new_tokens": 40, "do_sample": False},
    "summarization": {"max_new_tokens": 60},
    "translation": {"max_new_tokens": 100},
    "text2text-generation": {"max_new_tokens": 60},
    "text-classification": {"top_k": 5},
    "token-classification": {"aggregation_strategy": "simple"},
    "fill-mask": {"top_k": 5},
}


def main(folder: str, task: str) -> None:
    """Load the model, say so, and answer until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the model's code prints is no answer
    from enfold.transformers import pipeline

    run = pipeline(task, model=folder, device="cpu", trust_remote_code=False)
    mask = getattr(getattr(run, "tokenizer", None), "mask_token", None) if task == "fill-mask" else None
    print(json.dumps({"ready": True, "mask": mask}), file=out, flush=True)
    for line in sys.stdin:
        try:
            answer: Any = {"answer": run(json.loads(line), **_OPTIONS.get(task, {}))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:1000]}
        print(json.dumps(answer, default=float), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
