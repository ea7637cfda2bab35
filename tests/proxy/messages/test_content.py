from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.proxy.requests_in import (
    CACHED,
    PLAIN,
    PNG,
    assistant,
    text,
    tool_result,
    tool_use,
    translate,
    user,
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("r", "r"),
        ([text("r")], "r"),
        (None, ""),
        ("", ""),
        ([], ""),
        ([text("a"), text("b")], "a\n\nb"),
        ([{"type": "tool_reference", "tool_name": "Grep"}], "[tool no longer available: Grep]"),
        (
            [{"type": "search_result", "title": "T", "source": "u", "content": [text("c")]}],
            '<search_result title="T" source="u">\nc\n</search_result>',
        ),
        ({"odd": 1}, '{"odd": 1}'),
        ([{"type": "new_thing", "rows": [1, 2]}], '{"type":"new_thing","rows":[1, 2]}'),
        ([text("a"), {"type": "new_thing"}, text("b")], 'a\n\n{"type":"new_thing"}\n\nb'),
        ([{"odd": 1}, CACHED | {"type": "new"}], '{"odd":1}\n\n{"type":"new"}'),
        ([{"type": "compaction", "content": "we fixed it"}], "we fixed it"),
    ],
)
def test_tool_results_of_every_shape(content: Any, expected: str) -> None:
    chat = translate([user(text("a")), assistant(tool_use("t")), user(tool_result("t", content))])
    assert chat["messages"][2:] == [{"role": "tool", "tool_call_id": "t", "content": expected}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("no such file", "Error: no such file"),
        ("Error: no", "Error: no"),
        ("<tool_use_error>no</tool_use_error>", "<tool_use_error>no</tool_use_error>"),
        (None, "Error: "),
    ],
)
def test_a_failed_tool_says_so_once(content: Any, expected: str) -> None:
    messages = [
        user(text("a")),
        assistant(tool_use("t")),
        user(tool_result("t", content, is_error=True)),
    ]
    assert translate(messages)["messages"][2]["content"] == expected


def test_images_of_tool_results_follow_in_one_user_message() -> None:
    image = {"type": "image", "source": PNG}
    messages = [
        user(text("a")),
        assistant(tool_use("t"), tool_use("u")),
        user(tool_result("t", [text("x"), image]), tool_result("u", [image]), text("compare")),
    ]
    url = {"url": "data:image/png;base64,AAAA"}
    assert translate(messages)["messages"][2:] == [
        {
            "role": "tool",
            "tool_call_id": "t",
            "content": "x\n\n[image 1: shown in the next message]",
        },
        {"role": "tool", "tool_call_id": "u", "content": "[image 2: shown in the next message]"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[image 1]"},
                {"type": "image_url", "image_url": url},
                {"type": "text", "text": "[image 2]"},
                {"type": "image_url", "image_url": url},
                {"type": "text", "text": "compare"},
            ],
        },
    ]
    blind = translate(messages, PLAIN)["messages"][2:]
    assert [m["content"] for m in blind] == [
        "x\n\n[image omitted: the served model cannot see images]",
        "[image omitted: the served model cannot see images]",
        "compare",
    ]


def test_images_of_users_are_urls_of_either_kind() -> None:
    chat = translate(
        [
            user(
                text("a"),
                text("b"),
                {"type": "image", "source": {"type": "url", "url": "data:image/png;base64,BB"}},
                {"type": "image", "source": PNG},
                {"type": "image", "source": {"type": "file", "file_id": "f"}},
            )
        ]
    )
    assert chat["messages"][0]["content"] == [
        {"type": "text", "text": "a\n\nb"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,BB"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {
            "type": "text",
            "text": "[image (neither base64 nor a URL) omitted: the served model cannot read it]",
        },
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"type": "text", "media_type": "text/plain", "data": "body"},
            '<document title="T">\nbody\n</document>',
        ),
        (
            {
                "type": "base64",
                "media_type": "text/plain",
                "data": base64.b64encode("bödy".encode()).decode(),
            },
            '<document title="T">\nbödy\n</document>',
        ),
        (
            {"type": "content", "content": [text("one"), text("two")]},
            '<document title="T">\none\n\ntwo\n</document>',
        ),
        (
            {"type": "base64", "media_type": "application/pdf", "data": "A" * 400},
            '[document "T" (application/pdf, about 300 bytes) omitted: '
            "the served model cannot read it]",
        ),
        (
            {"type": "base64", "media_type": "text/plain", "data": "A"},
            '[document "T" (its base64 is damaged) omitted: the served model cannot read it]',
        ),
        (
            {"type": "url", "url": "https://x/y.pdf"},
            '[document "T" (https://x/y.pdf) omitted: the served model cannot read it]',
        ),
        (
            {"type": "file", "file_id": "f"},
            "[document \"T\" (source of type 'file') omitted: the served model cannot read it]",
        ),
        (None, '[document "T" (without a source) omitted: the served model cannot read it]'),
    ],
)
def test_documents_become_text_or_say_what_is_missing(source: Any, expected: str) -> None:
    block = {"type": "document", "title": "T", "source": source, "citations": {"enabled": True}}
    assert translate([user(block)])["messages"][0]["content"] == expected


def test_server_tools_in_the_history_stay_readable() -> None:
    chat = translate(
        [
            user(text("a")),
            assistant(
                {
                    "type": "server_tool_use",
                    "id": "srvtoolu_1",
                    "name": "web_search",
                    "input": {"query": "q"},
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_1",
                    "content": [
                        {
                            "type": "web_search_result",
                            "title": "T",
                            "url": "https://x",
                            "encrypted_content": "opaque",
                        }
                    ],
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_2",
                    "content": {
                        "type": "web_search_tool_result_error",
                        "error_code": "unavailable",
                    },
                },
                text("found", citations=[{"type": "web_search_result_location"}]),
            ),
            user(text("b")),
        ]
    )
    called, result, said = chat["messages"][1:4]
    assert called["tool_calls"][0]["function"] == {
        "name": "web_search",
        "arguments": '{"query": "q"}',
    }
    assert result == {
        "role": "tool",
        "tool_call_id": "srvtoolu_1",
        "content": "results of a web search:\n- T: https://x",
    }
    # A result without its search is said where it stands.
    assert said["content"] == (
        "[nothing was searched: the search engine could not be reached]\n\nfound"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8010/",
        "http://[::1]/",
        "HTTP://0x7f.1/",
        "file:///etc/passwd",
        "https://example.com/cat.png",
        "data:text/html;base64,AA",
        " data:image/png;base64,AA",
    ],
)
@pytest.mark.parametrize("place", ["user", "result", "document"])
def test_nothing_is_fetched_by_its_url(url: str, place: str) -> None:
    source = {"type": "url", "url": url}
    block = {"type": "document" if place == "document" else "image", "source": source}
    first = [user(text("a")), assistant(tool_use("t"))]
    messages = [*first, user(tool_result("t", [block]))] if place == "result" else [user(block)]
    last = translate(messages)["messages"][-1]
    assert isinstance(last["content"], str)
    assert "omitted" in last["content"]
    assert url.strip() in last["content"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "compaction", "content": "we fixed the parser"}, "we fixed the parser"),
        ({"type": "compaction", "content": [text("one"), text("two")]}, "one\n\ntwo"),
        ({"type": "mcp_tool_listing", "content": [text("search: finds")]}, "search: finds"),
        ({"type": "mcp_tool_listing", "text": "search: finds"}, "search: finds"),
        ({"type": "from_tomorrow", "text": "said"}, "said"),
        ({"type": "compaction", "content": None}, ""),
    ],
)
def test_the_text_inside_a_block_is_kept(block: dict[str, Any], expected: str) -> None:
    chat = translate([user(text("a")), assistant(block), user(text("b"))])
    assert chat["messages"][1]["content"] == expected


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"tool": {"type": "tool_reference", "name": "Grep"}}, "Grep"),
        ({"tool": {"type": "tool_reference", "tool_name": "Grep"}}, "Grep"),
        ({"tool": {"type": "tool_definition", "definition": {"name": "Grep"}}}, "Grep"),
        ({"name": "Grep"}, "Grep"),
    ],
)
def test_tool_changes_are_read_where_they_are_named(change: dict[str, Any], name: str) -> None:
    messages = [
        user(text("a")),
        {"role": "system", "content": [{"type": "tool_removal", **change}]},
    ]
    said = f"[tool no longer available: {name}; a call of it is refused]"
    assert translate(messages)["messages"][-1]["content"] == said
