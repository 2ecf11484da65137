"""Several turns: a tool is called, its result comes back, the answer uses it."""

from __future__ import annotations

import pytest
from suite import MAX_TOKENS
from toolbox import openai_tool

from pytest_quantcheck import Probe


@pytest.mark.parametrize("weather", ["snow", "rain", "sun"])
def test_the_result_of_a_tool_is_used(quant: Probe, weather: str) -> None:
    tools = [openai_tool("get_weather")]
    question = {"role": "user", "content": "How is the weather in Oslo?"}
    reply = quant.chat([question], tools=tools, max_tokens=MAX_TOKENS)
    [call] = reply.tool_calls
    assert (call.name, call.arguments) == ("get_weather", {"city": "Oslo"})
    result = {"role": "tool", "content": weather}
    messages = [question, reply.message, result]
    text = quant.chat(messages, tools=tools, max_tokens=MAX_TOKENS).text
    assert weather in text
