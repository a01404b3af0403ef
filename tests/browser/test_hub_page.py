"""The Hub's pages in a real browser: reading, searching and downloading, small screens, both grounds, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy
import pytest
from safetensors.numpy import save

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


PATHS = [
    *("/", "/datasets", "/datasets/demo/rows/viewer", "/?sort=likes&filter=license:apache-2.0", "/demo", "/login"),
    *(
        f"/demo/headlines{part}"
        for part in (
            *("", "/tree/main", "/blob/main/sub/train.py", "/blob/main/sub/weights.safetensors", "/commits/main"),
            *("/commit/main", "/discussions", "/discussions/1", "/discussions/2"),
        )
    ),
]
SIGNED_IN = ["/settings", "/settings/tokens", "/demo/headlines/settings", "/demo/headlines/discussions/new"]
ADMIN = ["/admin", "/admin/audit", "/admin/state"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False) as hub:
        api = HfApi(hub.endpoint, hub.token)
        api.create_repo("demo/headlines")
        files = {
            "README.md": CARD.encode(),
            "config.json": b'{"model_type": "bert"}',
            "no-picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            "sub/weights.safetensors": save({"layer.weight": numpy.zeros((250, 300), "float32")}),
            "sub/train.py": b"def main():\n    print('hello')\n",
        }
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit("demo/headlines", operations, commit_message="Share")
        change = [CommitOperationAdd("sub/train.py", b"def main(name):\n    print('hello', name)\n")]
        api.create_commit("demo/headlines", change, commit_message="Greet by name")
        proposal = [CommitOperationAdd("README.md", CARD.replace("apart", "well apart").encode())]
        api.create_commit("demo/headlines", proposal, commit_message="Say how well", create_pr=True)
        api.create_discussion("demo/headlines", "Which data?", description="Is there a *list*?\n\n- one")
        hub.hub.accounts.create_user("ann", fullname="Ann", password="a long pass phrase")
        hub.hub.accounts.create_user("root", password="a long pass phrase", admin=True)
        hub.create_organisation("demo", {"ann": "admin"})
        for number in range(5):
            api.create_repo(f"demo/other-{number}")
        api.create_repo("demo/rows", repo_type="dataset")
        rows = [CommitOperationAdd("train.csv", b"text,label,score\nhello,1,0.5\nbye,0,0.25\n")]
        api.create_commit("demo/rows", rows, commit_message="Share", repo_type="dataset")
        assert api.endpoint is not None
        httpx.get(f"{api.endpoint}/datasets-server/splits", params={"dataset": "demo/rows"}, timeout=60)
        yield hub.endpoint


def test_from_the_list_to_a_file(page: Any, endpoint: str, tmp_path: Path) -> None:
    page.goto(endpoint)
    page.get_by_role("searchbox").fill("headl")
    page.get_by_role("searchbox").press("Enter")
    assert page.locator(".list li").count() == 1
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
    page.get_by_role("link", name="History", exact=True).first.click()
    assert page.get_by_text("3 commits").is_visible()
    assert page.get_by_role("link", name="Share").is_visible()


def look(page: Any, address: str) -> None:
    """Fail where a page is wider than the screen, or where a reader would stumble."""
    from axe_playwright_python.sync_playwright import Axe

    page.goto(address)
    page.console.clear()  # the picture that is no picture
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
    found = Axe().run(page)
    assert found.violations_count == 0, address + found.generate_report()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_every_page_fits_a_telephone_and_can_be_read_aloud(
    new_page: Callable[..., Any], endpoint: str, scheme: str, width: int
) -> None:
    page = new_page(width=width, height=740, color_scheme=scheme)
    # The checker is a script of its own: it is put in past the page's policy, which allows none.
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    for path in PATHS if width < 1280 else PATHS[::3]:  # the wide pages have the same parts
        look(page, endpoint + path)
    sign_in(page, endpoint)
    for path in SIGNED_IN:
        look(page, endpoint + path)
    page.get_by_role("button", name="Sign out").first.click()
    sign_in(page, endpoint, name="root")
    for path in ADMIN:
        look(page, endpoint + path)


def sign_in(page: Any, endpoint: str, path: str = "/", name: str = "ann") -> None:
    page.goto(f"{endpoint}{path}")
    page.get_by_role("link", name="Sign in").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.locator("main").get_by_role("button", name="Sign in").click()


def test_a_list_is_narrowed_by_filters_and_put_in_order(page: Any, endpoint: str) -> None:
    page.goto(endpoint)
    assert page.locator(".list li").count() == 6
    page.get_by_text("Licences").click()
    page.get_by_role("link", name="apache-2.0").click()
    assert page.locator(".list li").all_inner_texts()[0].startswith("demo/headlines")
    assert page.locator(".list li").count() == 1
    page.get_by_role("link", name="Most likes").click()
    assert page.locator(".list li").count() == 1 and "sort=likes" in page.url
    page.get_by_role("link", name="Remove the filter apache-2.0").click()
    page.get_by_label("By", exact=True).fill("nobody")
    page.get_by_role("button", name="Filter").click()
    assert page.get_by_text("what the filters ask for").is_visible()


def test_a_pull_request_is_read_commented_and_merged(page: Any, endpoint: str) -> None:
    sign_in(page, endpoint, "/demo/headlines/discussions")
    page.get_by_role("link", name="Say how well").click()
    assert page.get_by_text("well apart").is_visible()
    page.get_by_label("Comment").fill("Looks **right**")
    page.get_by_role("button", name="Comment", exact=True).click()
    assert page.locator(".events strong", has_text="right").is_visible()
    page.get_by_role("button", name="Merge into main").click()
    assert page.get_by_text("merged as").is_visible()
    page.get_by_role("link", name="Card", exact=True).click()
    assert page.locator("article").get_by_text("well apart").is_visible()
    page.get_by_role("button", name="Like").click()
    assert page.get_by_role("button", name="Liked · 1").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Liked").click()
    page.get_by_role("link", name="Discussions").click()
    page.get_by_role("link", name="New").click()
    page.get_by_label("Title").fill("Thanks")
    page.get_by_role("button", name="Open it").click()
    page.get_by_role("button", name="Close").click()
    assert page.get_by_role("button", name="Open again").is_visible()


def test_settings_ask_before_something_is_gone(page: Any, endpoint: str) -> None:
    sign_in(page, endpoint, "/demo/other-4")
    page.get_by_role("link", name="Settings", exact=True).last.click()
    page.get_by_label("is private").check()
    page.get_by_role("button", name="Save").click()
    assert page.locator(".chip.warn", has_text="private").is_visible()
    page.get_by_label("Id: the old one will lead here").fill("demo/renamed")
    page.get_by_role("button", name="Rename").click()
    assert page.url == f"{endpoint}/demo/renamed/settings"
    page.get_by_label("to say that you mean it").fill("demo/wrong")
    page.get_by_role("button", name="Delete the repository").click()
    assert page.get_by_role("alert").inner_text().startswith("to delete the repository, type its id")
    page.console.clear()  # the refusal
    page.get_by_label("to say that you mean it").fill("demo/renamed")
    page.get_by_role("button", name="Delete the repository").click()
    page.goto(f"{endpoint}/demo/renamed")
    assert page.get_by_role("heading", name="Not found").is_visible()
    page.console.clear()  # the 404


def test_nothing_in_a_card_runs(page: Any, endpoint: str) -> None:
    page.goto(f"{endpoint}/demo/headlines")
    page.wait_for_load_state("networkidle")
    assert page.title() == "demo/headlines · Hub"
    assert page.locator("main script").count() == 0
    assert page.locator("article img").count() == 1
    page.goto(f"{endpoint}/demo/headlines/raw/main/no-picture.svg")
    assert "alert(1)" in page.inner_text("body")
    page.console.clear()
