"""A page's text is what its reader sees, with its structure."""

from __future__ import annotations

import pytest

from autosre_lab.web.extraction import extract_html

URL = "https://example.com/docs/page"

ARTICLE = (
    "<html><head><title>The  title</title></head><body>"
    "<nav>" + "".join(f"<a href='/{n}'>menu {n}</a> " for n in range(40)) + "</nav><article>"
    "<h1>Heading</h1>"
    + "".join(f"<h2>Part {n}</h2><p>{'Words of a long article. ' * 12}</p>" for n in range(6))
    + "<table><tr><th>name</th><th>value</th></tr><tr><td>port</td><td>8010</td></tr></table>"
    "<ul><li>one<ul><li>nested</li></ul></li></ul><pre><code>make demo\nmake test</code></pre>"
    "<p><a href='../other'>a link</a> ends it.</p></article><footer>Imprint</footer></body></html>"
)

HIDING = [
    '<p style="display:none">X</p>',
    '<p style="DISPLAY : none !important">X</p>',
    '<p style="visibility:hidden">X</p>',
    '<p style="opacity:0">X</p>',
    '<p style="opacity: 0.0;">X</p>',
    '<p style="font-size:0">X</p>',
    '<p style="font-size:1px">X</p>',
    '<p style="color:transparent">X</p>',
    '<div style="height:0;overflow:hidden">X</div>',
    '<div style="overflow:hidden; width:1px; height:1px; position:absolute">X</div>',
    '<div style="position:absolute;left:-9999px">X</div>',
    '<div style="text-indent:-9999px">X</div>',
    '<div style="clip-path: inset(100%)">X</div>',
    '<div style="transform: scale(0)">X</div>',
    "<p hidden>X</p>",
    '<p aria-hidden="TRUE">X</p>',
    "<!-- X -->",
    "<script>X</script>",
    "<template>X</template>",
    "<noscript>X</noscript>",
    '<input type="hidden" value="X">',
    "<style>.gone{display:none}</style><p class='a gone b'>X</p>",
    "<style>p#gone, b{ visibility: hidden }</style><p id='gone'>X</p>",
    "<div style='display:none'><div><p>X</p></div></div>",
    "<svg><text>X</text></svg>",
    "<head><meta name=description content=X></head>",
]
SHOWN = [
    '<p style="opacity:0.5">X</p>',
    '<p style="margin-left:-10px;font-size:0.9em">X</p>',
    '<p style="overflow:hidden;height:100px">X</p>',
    "<style>@media print { .p { display:none } }</style><p class=p>X</p>",
    "<style>.a .b{display:none}</style><p class=b>X</p>",
    "<details><summary>More</summary>X</details>",
]


@pytest.mark.parametrize("html", HIDING)
def test_what_a_reader_does_not_see_is_left_out(html: str) -> None:
    found = extract_html(f"<body><p>Seen.</p>{html.replace('X', 'INJECTED')}</body>", url=URL)

    assert "Seen." in found.markdown
    assert "INJECTED" not in found.markdown + found.text + found.title


@pytest.mark.parametrize("html", SHOWN)
def test_what_a_reader_sees_stays(html: str) -> None:
    found = extract_html(f"<body><p>Seen.</p>{html.replace('X', 'VISIBLE')}</body>", url=URL)

    assert "VISIBLE" in found.markdown
    assert "VISIBLE" in found.text


def test_hidden_elements_are_counted() -> None:
    page = "<body><p hidden>one</p><p style='display:none'>two</p><p hidden></p>x</body>"
    assert extract_html(page, url=URL).hidden == 2


def test_an_article_keeps_headings_tables_lists_code_and_links_and_loses_the_menu() -> None:
    found = extract_html(ARTICLE, url=URL)

    assert found.title == "The title"
    for kept in (
        "# Heading",
        "## Part 5",
        "| port | 8010 |",
        "- one",
        "nested",
        "make demo\nmake test",
        "[a link](https://example.com/other)",
    ):
        assert kept in found.markdown
    assert "menu 3" not in found.markdown
    assert "menu 3" in found.text


def test_a_small_page_is_taken_whole_with_its_structure() -> None:
    page = (
        "<body><h1>Status</h1><h2>Nodes</h2><ul><li>spark <a href='/n/1'>up</a></li></ul>"
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<pre><code class='language-python'>x = 1</code></pre></body>"
    )
    assert extract_html(page, url=URL).markdown == (
        "# Status\n\n## Nodes\n\n- spark [up](https://example.com/n/1)\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n```python\nx = 1\n```"
    )


def test_links_that_lead_nowhere_lose_their_target() -> None:
    page = "<a href='javascript:evil()'>js</a> <a href='data:x,y'>data</a> <a href='#top'>top</a>"
    assert extract_html(page, url=URL).markdown == "js data top"


@pytest.mark.parametrize(
    "page",
    [
        "",
        "\x00",
        "<",
        "<html>",
        "<?xml version='1.0' encoding='utf-16'?><html><body>text</body></html>",
        "<div>" * 5_000 + "deep",
        "<p>" + "&#1114111;&#0;&#xD800;" + "</p>",
        "<table>" * 300 + "x",
    ],
)
def test_no_page_is_too_broken(page: str) -> None:
    extract_html(page, url=URL)


def test_unseen_characters_are_taken_out() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all")
    needed = "\U0001f468\u200d\U0001f469 می\u200cخواهم"
    page = f"<body><p>He\u200bllo{hidden} wor\u202eld {needed}</p></body>"
    assert extract_html(page, url=URL).markdown == f"Hello world {needed}"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "page",
    [
        "<style>" + "@" * 400_000 + "</style>x",
        "<style>" + "a" * 400_000 + "</style>x",
        "<style>" + "/*" * 200_000 + "</style>x",
        "<style>" + "a{" * 200_000 + "</style>x",
        "<p style='" + "/*" * 200_000 + "'>x</p>",
        "".join(f"<p style='{'transform:' * 200}'>x</p>" for _ in range(200)),
        "<p>" + "[" * 200_000 + "</p>",
        "<p>" + "*_" * 100_000 + "</p>",
        "<p>" + " " * 400_000 + "x</p>",
        "<!-- -->" * 50_000 + "x",
    ],
)
def test_no_page_is_made_to_take_forever(page: str) -> None:
    extract_html(page, url=URL)
