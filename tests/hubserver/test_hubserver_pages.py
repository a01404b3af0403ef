"""The pages people see: they show what is there, and nothing that a repository holds can run in them."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import httpx
import pytest
from hubserver_raw import commit, file
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enfold.hubserver.web.markdown import render

PAGE = {"accept": "text/html"}
TAGS = set(
    "h1 h2 h3 h4 h5 h6 p pre code ul ol li a strong em del blockquote table thead tbody tr th td div hr br img".split()
)
ATTRIBUTES = {"id", "href", "rel", "class", "tabindex", "scope", "src", "alt", "loading", "start"}


class Checker(HTMLParser):
    """Fails on anything beyond what the renderer may write, and on tags that are not closed in turn."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name in {"href", "src"}:
                assert value is not None
                assert value.startswith(("http://", "https://", "mailto:", "#", "/"), 0), value
                assert not value.startswith("//"), value
        if tag not in {"hr", "br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check(text: str) -> str:
    checker = Checker()
    checker.feed(render(text, lambda target, image: f"/o/n/{target}"))
    checker.close()
    assert not checker.open
    return checker.text


_pieces = st.sampled_from(
    [
        *("# ", "- ", "1. ", "> ", "```", "~~~", "`", "``", "*", "**", "_", "__", "~~", "[", "](", ")", "![", "<", ">"),
        *(
            "javascript:",
            "data:",
            "//x",
            "http://e.org",
            "mailto:x",
            "\\",
            "\n",
            "\n\n",
            "    ",
            "---",
            " a ",
            "b",
            '"',
        ),
        *("'", "onerror=", "<script>", "&lt;", "#", ":-:", "é", "\t", "\0", "<!--", "]]>", "|", "|-|-|"),
        "| a | b |\n|---|--:|\n| 1 | 2 |",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_pieces, max_size=30).map("".join))
@example("[a](<javascript:alert(1)>)")
@example('[a](http://x"onmouseover="alert(1))')
@example('![a"onerror="x](y)')
@example('<http://a"b>')
@example("[![i](a.png)](http://x)")
@example('```"><script>\n</code>\n```')
def test_no_text_becomes_anything_but_harmless_html(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A *b*", '<h1 id="a-b">A <em>b</em></h1>'),
        ("# C# #", '<h1 id="c">C#</h1>'),
        ("Title\n===", '<h1 id="title">Title</h1>'),
        ("a\nb", "<p>a b</p>"),
        ("a  \nb", "<p>a<br>b</p>"),
        (
            "**a** __b__ _c_ ~~d~~ `e<`",
            "<p><strong>a</strong> <strong>b</strong> <em>c</em> <del>d</del> <code>e&lt;</code></p>",
        ),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b\n<ul><li>c</li></ul></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("> q\n> r", "<blockquote><p>q r</p></blockquote>"),
        ("```python\nx < 1\n```", '<pre tabindex="0"><code class="language-python">x &lt; 1</code></pre>'),
        ("    code", '<pre tabindex="0"><code>code</code></pre>'),
        ("---", "<hr>"),
        ("[a](b.md)", '<p><a href="/o/n/b.md">a</a></p>'),
        ("![a](b.png)", '<p><img src="/o/n/b.png" alt="a" loading="lazy"></p>'),
        ("![a](https://x.org/b.png)", '<p><a href="https://x.org/b.png" rel="nofollow noopener">a</a></p>'),
        ("[a](javascript:x)", "<p>a (javascript:x)</p>"),
        ("\\*a\\*", "<p>*a*</p>"),
        ("https://x.org/a_b.", '<p><a href="https://x.org/a_b" rel="nofollow noopener">https://x.org/a_b</a>.</p>'),
    ],
)
def test_markdown(text: str, html: str) -> None:
    assert render(text, lambda target, image: f"/o/n/{target}") == html


def test_a_table_has_heads_and_alignment() -> None:
    text = check("| a | b |\n|---|--:|\n| 1 | 2 |\n| x \\| y |")
    assert "x | y" in text
    assert '<td class="right">2</td>' in render("| a | b |\n|---|--:|\n| 1 | 2 |")


@pytest.mark.parametrize(
    "unit",
    ["*a", "**a", "[", "![", "[a](", "`", "`a", "_a ", "<http://", "> ", "- ", "# ", " ", "~~a", "|", "[]", "\\", "("],
)
def test_no_card_takes_long(unit: str) -> None:
    for text in (unit * (100_000 // len(unit)), "# " + unit * (50_000 // len(unit)) + "x"):
        begin = time.perf_counter()
        render(text)
        assert time.perf_counter() - begin < 5


@pytest.fixture
def shown(http: httpx.Client, name: str) -> str:
    card = (
        "---\nlicense: mit\npipeline_tag: text-classification\ntags: ['<b>tag']\nmodel-index:\n- name: m\n  results:\n"
        "  - dataset: {name: Rows}\n    metrics:\n    - {type: accuracy, value: 0.8712}\n---\n"
        "# Hello <script>alert(1)</script>\n\n[Config](config.json) ![pic](pic.png)\n"
    )
    records = [
        file("README.md", card.encode()),
        file("config.json", b'{"model_type": "bert"}'),
        file("weird/<img src=x>&'\".txt", b"<script>alert(2)</script>"),
        file("data.bin", b"\0\1\2"),
    ]
    assert commit(http, name, *records, title="<i>title").status_code == 200
    return name


@pytest.mark.parametrize(
    ("said", "use"),
    [
        ("pipeline_tag: fill-mask", "pipeline(&#34;fill-mask&#34;"),
        ("pipeline_tag: sentence-similarity", "load_sentences("),
        ("library_name: sentence-transformers", "load_sentences("),
        ("pipeline_tag: graph-ml", "snapshot_download("),
    ],
)
def test_a_page_says_how_to_use_what_it_shows(
    http: httpx.Client, anonymous: httpx.Client, name: str, said: str, use: str
) -> None:
    assert commit(http, name, file("README.md", f"---\n{said}\n---\n".encode()), title="card").status_code == 200
    assert use in anonymous.get(f"/{name}", headers=PAGE).text


def test_a_repository_has_a_page(anonymous: httpx.Client, shown: str) -> None:
    page = anonymous.get(f"/{shown}", headers=PAGE)
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
    assert "<script" not in page.text and "&lt;script&gt;alert(1)" in page.text
    assert "&lt;b&gt;tag" in page.text and "0.8712" in page.text and "accuracy on Rows" in page.text
    assert f'href="/{shown}/blob/main/config.json"' in page.text
    assert f'src="/{shown}/resolve/main/pic.png"' in page.text
    assert f'href="/{shown}/resolve/main/data.bin"' in page.text
    assert f"pipeline(&#34;text-classification&#34;, model=&#34;{shown}&#34;)" in page.text


def test_folders_files_and_history_have_pages(anonymous: httpx.Client, http: httpx.Client, shown: str) -> None:
    folder = anonymous.get(f"/{shown}/tree/main/weird", headers=PAGE).text
    assert "<img" not in folder and "&lt;img src=x&gt;" in folder
    blob = anonymous.get(f"/{shown}/blob/main/weird/%3Cimg%20src%3Dx%3E%26'%22.txt", headers=PAGE)
    assert "&lt;script&gt;alert(2)" in blob.text and "<script" not in blob.text
    assert "It is not text" in anonymous.get(f"/{shown}/blob/main/data.bin", headers=PAGE).text
    history = anonymous.get(f"/{shown}/commits/main", headers=PAGE).text
    assert "&lt;i&gt;title" in history and "initial commit" in history
    sha = http.get(f"/api/models/{shown}").json()["sha"]
    assert sha[:10] in anonymous.get(f"/{shown}/commit/{sha}", headers=PAGE).text


def test_lists_can_be_searched(anonymous: httpx.Client, shown: str) -> None:
    found = anonymous.get(f"/?search={shown.split('/')[1]}", headers=PAGE).text
    assert f'href="/{shown}"' in found
    nothing = anonymous.get('/?search="><script>', headers=PAGE).text
    assert "<script" not in nothing and "Nothing here has" in nothing
    assert shown in anonymous.get("/owner", headers=PAGE).text
    assert "Share the first one" in anonymous.get("/spaces", headers=PAGE).text
    assert anonymous.get("/?cursor=nonsense", headers=PAGE).status_code == 200
    assert anonymous.get("/?cursor=e30=", headers=PAGE).status_code == 200


def test_what_is_not_there_is_said_in_a_page(anonymous: httpx.Client, shown: str) -> None:
    for address in ("/owner/none", "/no-such-owner", f"/{shown}/blob/main/none", f"/{shown}/nonsense"):
        page = anonymous.get(address, headers=PAGE)
        assert page.status_code == 404 and "<h1>Not found</h1>" in page.text
    assert anonymous.get("/static/hub.css").headers["content-type"].startswith("text/css")
