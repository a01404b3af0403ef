"""The reader of pages, and the program that runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import Fence, Link, anchors, fences, is_slow, links, source

PAGE = """<!-- slow -->
# A page

```python
def twice(x):
    return 2 * x

print(twice(2))
```

```text
4
```

- In a list:

  ```python
  import inspect
  print(inspect.getsource(twice).splitlines()[0])
  ```

```bash no-run: needs a network
pip install enfold
```

```text
done
```

Words between.

```text
a tree
```
"""


def run(page: Path) -> subprocess.CompletedProcess[str]:
    runner = Path(__file__).with_name("run_page.py")
    return subprocess.run([sys.executable, runner, page], cwd=page.parent, capture_output=True, text=True)


def test_fences_are_read_with_lines_reasons_and_what_they_show() -> None:
    assert fences(PAGE) == [
        Fence("python", 4, "def twice(x):\n    return 2 * x\n\nprint(twice(2))\n", None, "4\n", 11),
        Fence("python", 17, "import inspect\nprint(inspect.getsource(twice).splitlines()[0])\n"),
        Fence("bash", 22, "pip install enfold\n", "needs a network", "done\n", 26),
        Fence("text", 32, "a tree\n"),
    ]
    assert is_slow(PAGE) and not is_slow("# A page")
    assert source(fences(PAGE)).splitlines()[4] == "def twice(x):"


@pytest.mark.parametrize("info", ["python no-run", "python no-run:", "bash skip"])
def test_a_fence_without_a_reason_is_refused(info: str) -> None:
    with pytest.raises(ValueError, match=r"line 3: .*no-run: REASON"):
        fences(f"# A\n\n```{info}\n1\n```\n")


def test_a_page_that_is_right_runs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE + "\n```bash\necho $((1 + 1)) | tee sum\n```\n\n```text\n2\n```\n")
    done = run(page)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4\ndef twice(x):\n2\n" and (tmp_path / "sum").read_text() == "2\n"


def test_a_wrong_output_is_named_with_its_line_and_the_difference(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\nprint(2)\n```\n\n```text\n1\n3\n```\n")
    done = run(page)
    assert done.returncode == 1
    assert "page.md:1: what is printed differs from line 6" in done.stderr
    assert "-3\n+2" in done.stderr


def test_an_error_points_to_its_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python\nx = 1\n```\n\n```python\nassert x\nraise KeyError(x)\n```\n")
    done = run(page)
    assert done.returncode == 1
    assert "page.md:7: the snippet raised" in done.stderr
    assert 'page.md", line 9' in done.stderr and "raise KeyError(x)" in done.stderr


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\necho before\nfalse\necho after\n```\n")
    done = run(page)
    assert done.returncode == 1
    assert "page.md:1: a command ended with 1\nbefore" in done.stderr and "after" not in done.stderr


def test_links_and_anchors() -> None:
    text = "# A page\n\n## `Trainer`, *and* more\n\n## A page\n\nSee [b](b.md#c) and ![p](p.webp).\n"
    text += "\n| [t](t.md) |\n|---|\n"
    assert anchors(text) == {"a-page", "trainer-and-more", "a-page-1"}
    assert links(text) == [Link(7, "b.md#c"), Link(7, "p.webp"), Link(9, "t.md")]
    assert links("```\n[a](b.md)\n```\n") == []
