"""The fuzzer's inputs, once more: read or refused, never worse; the path to ids alone and the full one agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from enfold.tokenizers import Tokenizer
from enfold.tokenizers.tokenizer import TokenizerError

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz_corpus" / "tokenizer"


def test_both_paths_agree_on_every_input_that_loads() -> None:
    loaded = 0
    for path in sorted(CORPUS.iterdir()):
        source, _, rest = path.read_bytes().partition(b"\0")
        text = rest.decode("utf-8", "replace")
        try:
            tokenizer = Tokenizer.from_buffer(source)
        except TokenizerError:
            continue
        loaded += 1
        tokenizer.no_padding()
        tokenizer.no_truncation()
        try:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
        except Exception as error:
            with pytest.raises(type(error)):
                tokenizer.encode_arrow([text], add_special_tokens=False)
            continue
        flat = tokenizer.encode_arrow([text], add_special_tokens=False, fields=["input_ids"])["input_ids"]
        assert flat[0] == ids, path.name
        assert isinstance(tokenizer.decode([*ids, 0, 255, 1 << 27, 2**32 - 1]), str)
    assert loaded > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_sanitizers_find_nothing_in_the_corpus() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "fuzz.py", "tokenizer", "--replay"], capture_output=True, text=True
    )
    if "clang++ is needed" in done.stderr:
        pytest.skip("no clang")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
