"""Runs in the engine's own Python: what vLLM renders and parses for requests as we send them.

Standard input: ``{"sessions": [[template, [chat body, …]], …], "answers": [[parser, chat body,
text], …]}``. The last line of standard output: the token ids of each prompt, and the calls that
each text was parsed to, whole and in pieces.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from vllm.config import ModelConfig
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.renderers.chat_utils import parse_chat_messages
from vllm.renderers.hf import safe_apply_chat_template
from vllm.tokenizers import get_tokenizer
from vllm.tool_parsers import ToolParserManager

MODEL = os.environ["MODEL"]
TOKENIZER: Any = get_tokenizer(MODEL)
# As in the models whose templates write them: marks of roles are one token each.
TOKENIZER.add_special_tokens({"additional_special_tokens": os.environ["MARKS"].split()})


def main() -> None:
    given = json.load(sys.stdin)
    config: Any = ModelConfig(model=MODEL)
    prompts = [
        [tokens(config, template, body) for body in bodies]
        for template, bodies in given["sessions"]
    ]
    answers = [calls(*answer) for answer in given["answers"]]
    print("\n" + json.dumps({"prompts": prompts, "answers": answers}))


def tokens(config: Any, template: str, body: dict[str, Any]) -> list[int]:
    """Render as `OnlineRenderer.preprocess_chat` and `HfRenderer.render_messages` do."""
    request = ChatCompletionRequest.model_validate(body)
    tools = [tool.model_dump() for tool in request.tools] if request.tools else None
    defaults = {"tools": tools, "tokenize": False}
    params = request.build_chat_params(template, "string").with_defaults(defaults)
    conversation, _, _ = parse_chat_messages(
        request.messages,
        config,
        content_format="string",
        media_io_kwargs=None,
        mm_processor_kwargs=None,
    )
    arguments = params.get_apply_chat_template_kwargs() | {"add_generation_prompt": False}
    text = safe_apply_chat_template(config, TOKENIZER, conversation, **arguments)
    ids: list[int] = TOKENIZER.encode(text, add_special_tokens=False)
    return ids


def calls(parser: str, body: dict[str, Any], text: str) -> list[list[dict[str, Any]]]:
    request = ChatCompletionRequest.model_validate(body)
    kind = ToolParserManager.get_tool_parser(parser)
    found = kind(TOKENIZER, request.tools).extract_tool_calls(text, request)
    whole = [call.function.model_dump() for call in found.tool_calls]
    return [whole, in_pieces(kind(TOKENIZER, request.tools), request, text)]


def in_pieces(parser: Any, request: Any, text: str) -> list[dict[str, Any]]:
    pieces: list[dict[str, Any]] = []
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    before, seen = "", []
    for id_ in ids:
        seen.append(id_)
        after = TOKENIZER.decode(seen)
        delta = parser.extract_tool_calls_streaming(
            before, after, after[len(before) :], seen[:-1], seen, [id_], request
        )
        before = after
        for call in (delta.tool_calls if delta else None) or []:
            while len(pieces) <= call.index:
                pieces.append({"name": "", "arguments": ""})
            if call.function is not None:
                pieces[call.index]["name"] += call.function.name or ""
                pieces[call.index]["arguments"] += call.function.arguments or ""
    return pieces


if __name__ == "__main__":
    main()
