"""Run by every library: the tokenizers saved by another one, loaded and described as JSON on the last line."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from family_cases import CASES, describe, plain


def main(name: str, saved: Path) -> dict[str, Any]:
    library = importlib.import_module(name)
    found: dict[str, Any] = {}
    for index, (kind, _, options) in enumerate(CASES):
        try:
            made: Any = describe(library.AutoTokenizer.from_pretrained(str(saved / str(index))))
        except Exception:
            made = traceback.format_exc()[-1500:]
        found[f"{index} {kind} {options}"] = made
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2])), default=plain))
