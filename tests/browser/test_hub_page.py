"""The Hub's pages in a real browser: reading, searching and downloading, small screens, both grounds, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.hub import CommitOperationAdd, HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.browser

CARD = """---
license: apache-2.0
pipeline_tag: text-classification
model-index:
- name: headlines
  results:
  - task: {type: text-classification}
    dataset: {name: Headlines, type: demo/headlines}
    metrics: [{type: accuracy, value: 0.8712}]
---
# Headlines

Tells them **apart**: <script>document.title = "broken"</script> <img src=x onerror="document.title='broken'">

| label | precision |
|---|---:|
| sarcastic | 0.86 |

```python
print("a line of code that is much longer than the screen of any telephone ever made, so that it has to scroll")
```

[A file](config.json) and ![a picture](no-picture.svg)
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False) as hub:
        api = HfApi(hub.endpoint, hub.token)
        api.create_repo("demo/headlines")
        files = {
            "README.md": CARD.encode(),
            "config.json": b'{"model_type": "bert"}',
            "no-picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            "sub/weights.safetensors": bytes(300_000),
        }
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit("demo/headlines", operations, commit_message="Share")
        for number in range(5):
            api.create_repo(f"demo/other-{number}")
        yield hub.endpoint


def test_from_the_list_to_a_file(page: Any, endpoint: str, tmp_path: Path) -> None:
    page.goto(endpoint)
    page.get_by_role("searchbox").fill("headl")
    page.get_by_role("searchbox").press("Enter")
    assert page.locator("main li").count() == 1
    page.get_by_role("link", name="demo/headlines").click()
    assert page.title() == "demo/headlines · Hub"
    assert page.get_by_role("cell", name="0.86").is_visible()
    assert page.get_by_text("0.8712").is_visible()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download config.json").click()
    assert Path(started.value.path()).read_text() == '{"model_type": "bert"}'
    page.get_by_role("link", name="sub/").click()
    assert page.get_by_text("300 kB").is_visible()
    page.get_by_role("link", name="demo/headlines").click()
    page.get_by_role("link", name="A file", exact=True).click()
    assert page.get_by_text('{"model_type": "bert"}').is_visible()
    page.get_by_role("link", name="2 commits").click()
    assert page.get_by_role("link", name="Share").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/demo/headlines", "/demo/headlines/tree/main", "/datasets"])
def test_every_page_fits_a_telephone_and_can_be_read_aloud(
    new_page: Callable[..., Any], endpoint: str, path: str, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for width in (360, 1280):
        page = new_page(width=width, height=740, color_scheme=scheme)
        page.goto(endpoint + path)
        page.console.clear()  # the picture that is no picture
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # The checker is a script of its own: it is put in past the page's policy, which allows none.
        page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
        page.goto(endpoint + path)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.console.clear()


def test_nothing_in_a_card_runs(page: Any, endpoint: str) -> None:
    page.goto(f"{endpoint}/demo/headlines")
    page.wait_for_load_state("networkidle")
    assert page.title() == "demo/headlines · Hub"
    assert page.locator("main script").count() == 0
    assert page.locator("article img").count() == 1
    page.goto(f"{endpoint}/demo/headlines/raw/main/no-picture.svg")
    assert "alert(1)" in page.inner_text("body")
    page.console.clear()
