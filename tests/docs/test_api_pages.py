"""How docstrings become the Markdown of the API pages."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))

from docstrings import docstring, first_sentence, to_markdown

TEXT = """Cut ``texts`` into windows, see :class:`Splitter` and https://arxiv.org/abs/1706.03762 [1].

A *bold* word stays escaped: <tag>.

Args:
    texts: strings, or a list
        of lists.
    width, step: tokens; 512 by default.
    **options: passed on.

Returns:
    Shape ``(rows, width)``.

Raises:
    ValueError: where ``step`` is 0.

Example:
    >>> cut(["a b"], 1)  # doctest: +SKIP
    [['a'], ['b']]
"""


def test_sections_become_lists_with_types_and_sessions_blocks() -> None:
    shown = to_markdown(TEXT, {"texts": "list[str]", "width": "int", "step": "int"})
    assert shown == (
        "Cut `texts` into windows, see {py:obj}`Splitter` and <https://arxiv.org/abs/1706.03762> \\[1\\].\n"
        "\n"
        "A \\*bold* word stays escaped: \\<tag>.\n"
        "\n"
        "**Args**\n"
        "\n"
        "- `texts` (`list[str]`): strings, or a list\n"
        "  of lists.\n"
        "- `width`, `step` (`int`): tokens; 512 by default.\n"
        "- `**options`: passed on.\n"
        "\n"
        "**Returns**\n"
        "\n"
        "Shape `(rows, width)`.\n"
        "\n"
        "**Raises**\n"
        "\n"
        "- `ValueError`: where `step` is 0.\n"
        "\n"
        "**Example**\n"
        "\n"
        "```pycon\n"
        '>>> cut(["a b"], 1)\n'
        "[['a'], ['b']]\n"
        "```"
    )


def test_the_first_sentence_is_one_line() -> None:
    assert first_sentence("One thing, e.g. this,\nand that. Another.\n\nMore.") == "One thing, e.g. this, and that."
    assert first_sentence("No end") == "No end"


def test_what_dataclasses_write_themselves_is_no_docstring() -> None:
    @dataclass
    class Bare:
        x: int = 0

    @dataclass
    class Told:
        """A number.

        Args:
            x: it.
        """

        x: int = 0

    class Child(Told):
        pass

    assert docstring(Bare) == "" and docstring(Child) == ""
    assert docstring(Told).startswith("A number.\n\nArgs:\n    x")


@pytest.mark.slow
def test_a_page_has_signatures_types_and_what_a_base_gives_once() -> None:
    if find_spec("sphinx") is None:
        pytest.skip("Sphinx is missing")
    # In a process of its own: the pages load everything that is there, TensorFlow with its own SQLite too.
    code = "import api, json; print(json.dumps([api.markdown(page) for page in ('hubserver', 'tokenizers')]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(inspect.getfile(docstring)).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    hubserver, tokenizers = json.loads(done.stdout)
    assert "{py:class} EmbeddedHub(folder, *, host='127.0.0.1', port=0," in hubserver
    assert "- `folder` (`str | os.PathLike[str]`): where" in hubserver
    assert "{py:method} stop() -> None" in hubserver
    assert tokenizers.count("{py:method} get_vocab_size(") == 2  # Tokenizer's, and one for its siblings
