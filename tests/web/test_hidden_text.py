"""Ways to hide words from a reader and show them to a model: which are seen through.

The tables are the ones that docs/safety.md counts.
"""

# ruff: noqa: E501 - pages on a line each
from __future__ import annotations

import pytest

from autosre_lab.web.extraction import extract_html

URL = "https://example.com/dir/page.html"

REMOVED = {
    "display, its value escaped": '<p style="d\\69splay:no\\6e e">X</p>',
    "display with a comment in it": '<p style="display:/**/none">X</p>',
    "display, important against a later one": '<p style="display:none!important;display:block">X</p>',
    "visibility: collapse": '<p style="visibility:collapse">X</p>',
    "content-visibility": '<p style="content-visibility:hidden">X</p>',
    "opacity of a hundredth": '<p style="opacity:.01">X</p>',
    "opacity in per cent": '<p style="opacity:1%">X</p>',
    "filter: opacity": '<p style="filter:opacity(0)">X</p>',
    "font shorthand": '<p style="font:0/0 a">X</p>',
    "font-size in em of nothing": '<div style="font-size:0"><p style="font-size:2em">X</p></div>',
    "font-size in per cent": '<p style="font-size:1%">X</p>',
    "colour of the page": '<p style="color:#fff">X</p>',
    "colour by its name": '<p style="color:white">X</p>',
    "colour almost the page's": '<p style="color:rgb(250, 250, 252)">X</p>',
    "colour in hsl": '<p style="color:hsl(0,0%,100%)">X</p>',
    "colour without opacity": '<p style="color:rgba(0,0,0,0)">X</p>',
    "colour with a zero alpha": '<p style="color:#00000000">X</p>',
    "colour of its own background": '<p style="color:#123456;background:#123456">X</p>',
    "colour of an outer background": '<div style="background:navy"><p style="color:#000080">X</p></div>',
    "colour handed down": '<div style="color:white"><p><b>X</b></p></div>',
    "text-fill-color": '<p style="-webkit-text-fill-color:transparent">X</p>',
    "off to the left, in em": '<p style="position:absolute;left:-999em">X</p>',
    "off to the left, in vw": '<p style="position:fixed;left:-100vw">X</p>',
    "off to the right": '<p style="position:fixed;left:100vw">X</p>',
    "off by inset": '<p style="position:absolute;inset:-9999px auto auto -9999px">X</p>',
    "off by margin": '<p style="margin:0 0 0 -9999px">X</p>',
    "off by translate": '<p style="transform:translate(-9999px)">X</p>',
    "off by the translate property": '<p style="translate:-9999px 0">X</p>',
    "scale property": '<p style="scale:0">X</p>',
    "clip: rect": '<p style="position:absolute;clip:rect(1px,1px,1px,1px)">X</p>',
    "clip-path: circle": '<p style="clip-path:circle(0)">X</p>',
    "clip-path: polygon": '<p style="clip-path:polygon(0 0,0 0)">X</p>',
    "max-height": '<p style="max-height:0;overflow:hidden">X</p>',
    "width with overflow-x": '<p style="width:0;overflow-x:hidden">X</p>',
    "hidden until found": '<p hidden="until-found">X</p>',
    "a closed dialog": "<dialog>X</dialog>",
    "a popover": "<div popover>X</div>",
    "a fallback of ruby": "<ruby>a<rp>X</rp></ruby>",
    "a fallback of progress": "<progress>X</progress>",
    "options of an input": "<datalist><option>X</option></datalist>",
    "an iframe's source": '<iframe srcdoc="X">X</iframe>',
    "zero-width letters": "<p>I\u200bN\u200cJ\u2060E\ufeffC\u00adTED-IN-PARTS</p>",
    "tag characters": "<p>" + "".join(chr(0xE0000 + ord(one)) for one in "INJECTED") + "</p>",
    "a class": "<style>.g{display:none}</style><p class='a g'>X</p>",
    "a tag": "<style>aside{display:none}</style><aside>X</aside>",
    "everything in something": "<style>.g *{display:none}</style><div class=g><p>X</p></div>",
    "a descendant": "<style>.a .b p{display:none}</style><div class=a><i><div class=b><p>X</p></div></i></div>",
    "a child": "<style>.a>p{display:none}</style><div class=a><p>X</p></div>",
    "a neighbour": "<style>h2+p{display:none}</style><h2>h</h2><p>X</p>",
    "a later sibling": "<style>h2~p{display:none}</style><h2>h</h2><i>i</i><p>X</p>",
    "two classes": "<style>.a.b{display:none}</style><p class='b c a'>X</p>",
    "an attribute": "<style>[data-x]{display:none}</style><p data-x>X</p>",
    "an attribute's value": "<style>p[data-x='1']{display:none}</style><p data-x=1>X</p>",
    "an attribute's beginning": '<style>p[class^="vis"]{opacity:0}</style><p class=visible>X</p>',
    "not": "<style>i:not(.ok){display:none}</style><i>X</i><i class=ok>y</i>",
    "first child": "<style>div>p:first-child{display:none}</style><div><p>X</p></div>",
    "a list of selectors": "<style>a:hover, .g , b.c{display:none}</style><p class=g>X</p>",
    "an escaped class": "<style>.\\67 {display:none}</style><p class=g>X</p>",
    "media of a screen": "<style>@media screen{.g{display:none}}</style><p class=g>X</p>",
    "media of its width": "<style>@media (min-width:600px){.g{display:none}}</style><p class=g>X</p>",
    "media but print": "<style>@media not print{.g{display:none}}</style><p class=g>X</p>",
    "a layer": "<style>@layer a{.g{display:none}}</style><p class=g>X</p>",
    "after an import": "<style>@import url(a.css);.g{display:none}</style><p class=g>X</p>",
    "a heavier rule before a lighter": "<style>p.g{display:none}.g{display:block}</style><p class=g>X</p>",
    "a later rule": "<style>.g{display:block}.g{display:none}</style><p class=g>X</p>",
    "colour by class": "<style>.n{background:#111}.g{color:#111}</style><div class=n><p class=g>X</p></div>",
    "the body's colour": "<style>body{background:black}i{color:#000}</style><i>X</i>",
    "a tag of too many attributes": f"<p {' '.join(f'a{one}=x' for one in range(2_000))}>X</p>",
}
"""Each of them was, or could have been, a way for words that only a model reads."""

SHOWN = {
    "a rule that a later one undoes": "<style>.g{display:none}.g{display:block}</style><p class=g>X</p>",
    "a rule that a heavier one undoes": "<style>#o{display:block}.g{display:none}</style><p id=o class=g>X</p>",
    "a rule that its own style undoes": "<style>.g{display:none}</style><p class=g style='display:block'>X</p>",
    "a rule of paper": "<style>@media print{.g{display:none}}</style><p class=g>X</p>",
    "a rule of small screens": "<style>@media (max-width:600px){.g{display:none}}</style><p class=g>X</p>",
    "a rule of another state": "<style>.g:hover{display:none}</style><p class=g>X</p>",
    "a rule of a generated piece": "<style>.g::before{display:none}</style><p class=g>X</p>",
    "a rule of others": "<style>.a .g{display:none}</style><p class=g>X</p>",
    "a rule that does not end": "<style>.g{display:none</style><p class=g>X</p>",
    "a gap that letters undo": '<ul style="font-size:0"><li style="font-size:16px">X</li></ul>',
    "white on a dark background": '<div style="background:#222;color:#fff"><p>X</p></div>',
    "white on a picture": '<div style="background:url(a.png)"><p style="color:#fff">X</p></div>',
    "white on an unknown sheet": '<link rel="stylesheet" href="a.css"><p style="color:#fff">X</p>',
    "white on a variable": '<div style="background:var(--dark)"><p style="color:#fff">X</p></div>',
    "dark in white": '<div style="color:white"><p style="color:#222">X</p></div>',
    "letters of a gradient": '<p style="color:transparent;background:linear-gradient(red,blue);-webkit-background-clip:text">X</p>',
    "a zoom of nothing, which browsers ignore": '<p style="zoom:0">X</p>',
    "half faded": '<p style="opacity:50%">X</p>',
    "centred by translation": '<p style="position:absolute;left:50%;transform:translate(-50%,-50%)">X</p>',
    "overlapping a little": '<p style="margin-left:-20px;position:relative;top:-8px">X</p>',
    "an open dialog": "<dialog open>X</dialog>",
    "closed details": "<details><summary>More</summary>X</details>",
    "cut at some lines": '<p style="overflow:hidden;max-height:4em">X</p>',
    "a quote in a comment": '<!-- <a href="x> --><p>X</p>',
    "a less-than in a script": "<script>if (a<b && '\"') {}</script><p>X</p>",
}

COMES_THROUGH = {
    "a sheet in a file of its own": '<link rel="stylesheet" href="a.css"><p class=hidden>X</p>',
    "behind something else": '<p style="position:absolute;z-index:-1">X</p><div style="background:#fff">y</div>',
    "a pseudo-class that is not known": "<style>p:nth-of-type(1){display:none}</style><p>X</p>",
    "the colour of a picture": '<div style="background:url(white.png)"><p style="color:#fff">X</p></div>',
    "a style that a script sets": "<p id=a>X</p><script>a.hidden = true</script>",
    "below a very long page": f"<p>{'<br>' * 2_000}</p><p>X</p>",
}
"""Known limits: a browser's rendering shows more of them, and no rule of text all of them."""


@pytest.mark.parametrize("way", REMOVED)
def test_words_that_no_reader_sees_are_left_out(way: str) -> None:
    page = f"<body><p>Seen.</p>{REMOVED[way].replace('X', 'INJECTED')}</body>"
    found = extract_html(page, url=URL)
    assert "Seen." in found.markdown
    text = found.markdown + found.text + found.title
    assert "INJECTED" not in text or way == "zero-width letters"
    assert "\u200b" not in text


@pytest.mark.parametrize("way", SHOWN)
def test_words_that_a_reader_sees_stay(way: str) -> None:
    found = extract_html(f"<body>{SHOWN[way].replace('X', 'VISIBLE')}</body>", url=URL)
    assert "VISIBLE" in found.markdown
    assert "VISIBLE" in found.text


@pytest.mark.parametrize("way", COMES_THROUGH)
def test_the_known_limits_are_as_the_documentation_says(way: str) -> None:
    found = extract_html(f"<body>{COMES_THROUGH[way].replace('X', 'INJECTED')}</body>", url=URL)
    assert "INJECTED" in found.markdown


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "page",
    [
        "<p " + " ".join(f"a{one}=x" for one in range(300_000)) + ">x</p>",
        "<p " + "a " * 300_000 + ">x</p>",
        "<p " + " ".join(f'a{one}="<>"' for one in range(200_000)) + ">x</p>",
        "<a <a " * 200_000,
        '<p a="' * 200_000,
        "<!--" * 300_000 + "<script" * 100_000,
        "<style>" + ".a,b>c " * 100_000 + "{display:none}</style>x",
        "<style>"
        + "".join(f".c{one} .d *{{opacity:0}}" for one in range(20_000))
        + "</style>"
        + "<div class=d>" * 200
        + "<p>x</p>" * 2_000,
        "<style>" + "* * * * * * *{opacity:0}" * 100 + "</style>" + "<i>" * 250 + "<b>x</b>" * 500,
        "<style>" + "a~a~a~a{opacity:0}" * 50 + "</style>" + "<a>x</a>" * 5_000,
        f"<p class='{'a ' * 500_000}'>x</p>" + "<style>.a.b{opacity:0}</style>",
    ],
)
def test_no_page_is_made_to_take_forever(page: str) -> None:
    extract_html(page, url=URL)
