"""What OpenAI's Agents SDK makes of the proxy: `python agent.py BASE_URL`, one JSON line."""

# The SDK is in an environment of its own.
# mypy: disable-error-code="import-not-found, untyped-decorator"

import asyncio
import json
import sys

from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    handoff,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)
looked: list[str] = []


@function_tool
def look(path: str) -> str:
    """Look at a file.

    Args:
        path: Which.
    """
    looked.append(path)
    return f"{path} is empty"


async def main() -> None:
    client = AsyncOpenAI(base_url=sys.argv[1], api_key="a-token", max_retries=0)
    model = OpenAIResponsesModel("any", client)
    settings = ModelSettings(parallel_tool_calls=True)
    other = Agent(name="Other", instructions="You are the other.", model=model)
    agent = Agent(
        name="First",
        instructions="You look.",
        model=model,
        model_settings=settings,
        tools=[look],
        handoffs=[handoff(other)],
    )
    whole = await Runner.run(agent, "Look at both.")
    running = Runner.run_streamed(agent, "Look again.")
    kinds = [event.type async for event in running.stream_events()]
    handed = await Runner.run(agent, "Ask the other.")
    print(
        json.dumps(
            {
                "whole": whole.final_output,
                "requests": whole.context_wrapper.usage.requests,
                "tokens": whole.context_wrapper.usage.total_tokens,
                "looked": looked,
                "streamed": running.final_output,
                "kinds": sorted(set(kinds)),
                "handed": handed.final_output,
                "last": handed.last_agent.name,
            }
        )
    )


asyncio.run(main())
