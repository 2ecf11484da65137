"""``quantcheck doctor``: asks a server a few small questions and says what the tests will be able to do with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any
from typing import Final

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server.address import AddressError
from pytest_quantcheck.engines.server.address import parse_address
from pytest_quantcheck.engines.server.client import key_of
from pytest_quantcheck.engines.server.engine import ServerEngine
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.option_values import positive
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.text import one_line
from pytest_quantcheck.untold import hidden

_QUESTION: Final = ({"role": "user", "content": "What is 27 + 45? Answer with the number only."},)
_TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_SCHEMA: Final = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
_BUDGET: Final = 512


def add_command(commands: Any) -> None:
    """Register the command."""
    doctor = commands.add_parser(
        "doctor",
        help="ask a server a few questions and say what tests can do with it",
        description="Recognises the server behind an address and asks its model a few small questions: how thoughts, "
        "tool calls and token counts come, and what the server cannot do. The key is taken from QUANTCHECK_API_KEY.",
        epilog="Exit status: 0 a chat is answered; 1 it is not, or nobody answers; 2 wrong arguments.",
    )
    doctor.add_argument("address", metavar="ADDRESS", help="http://host:port#model, ollama:model, vllm:model, ...")
    doctor.add_argument(
        "--timeout", type=positive, default=120.0, metavar="S", help="seconds without a new token (120)"
    )
    doctor.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what was found; the exit status."""
    try:
        address = parse_address(given.address)
    except AddressError as error:
        print(f"quantcheck: {error}", file=sys.stderr)
        return 2
    if address is None:
        print(f"quantcheck: {one_line(given.address, 120)!r} is no address of a server", file=sys.stderr)
        return 2
    try:
        key = key_of(Role.CANDIDATE)
    except EngineError as error:
        print(f"quantcheck: {error}", file=sys.stderr)
        return 2
    engine = ServerEngine(address, LoadSettings(), timeout=given.timeout, key=key)
    try:
        return _examine(engine)
    except EngineError as error:
        print(f"quantcheck: {error}", file=sys.stderr)
        return 1
    finally:
        engine.close()


def _examine(engine: ServerEngine) -> int:
    card = engine.card()
    family = engine.dialect.family
    _say("model", card.name)
    _say("context", card.context_length or "unknown")
    _say("template", f"family {family.name}" if family is not None else "not told")
    chat = _ask("chat", lambda: _reply(engine.chat(_chat())))
    _say("server", engine.facts.get("build") or engine.dialect.name)
    for name, ask in _questions(engine).items():
        _ask(name, ask)
    _say_conditions(engine, card)
    return 0 if chat else 1


def _say_conditions(engine: ServerEngine, card: ModelCard) -> None:
    known = Conditions().with_facts(engine.foretold)
    told = {"KV cache": known.kv_type, "flash attention": known.flash_attention, "draft model": known.draft}
    if said := ", ".join(f"{name}: {value}" for name, value in told.items() if value):
        _say("runs with", said)
    if silent := hidden(card, known):
        _say("not told", f"{', '.join(silent)} (docs/how-to/servers.md says what follows)")


def _chat(**how: Any) -> ChatRequest:
    tools = how.pop("tools", ())
    return ChatRequest(how.pop("messages", _QUESTION), tools, Generation(**{"max_tokens": _BUDGET} | how))


def _questions(engine: ServerEngine) -> dict[str, Callable[[], str]]:
    weather = ({"role": "user", "content": "What is the weather in Oslo?"},)
    text = CompletionRequest("One, two, three,", Generation(max_tokens=8))
    choice = ChoiceRequest(("72", "27"), _QUESTION)
    return {
        "thinking off": lambda: _reply(engine.chat(_chat(thinking=False))),
        "starved": lambda: _reply(engine.chat(_chat(max_tokens=2))),
        "a tool": lambda: _reply(engine.chat(_chat(messages=weather, tools=(_TOOL,)))),
        "JSON schema": lambda: _reply(engine.chat(_chat(json_schema=_SCHEMA))),
        "grammar": lambda: _reply(engine.chat(_chat(grammar='root ::= "yes" | "no"'))),
        "raw text": lambda: _reply(engine.complete(text)),
        "token ids": lambda: f"{len(engine.tokenize('One, two, three'))} for 'One, two, three'",
        "choices": lambda: ", ".join(f"{value:.2f}" for value in engine.choose(choice).loglikelihoods) + " nats",
        "vectors": lambda: f"{engine.embed(EmbeddingRequest(('a', 'b'))).dimensions} numbers",
        "speed": lambda: f"{engine.bench(BenchRequest(64, 16, 1, warmup=1)).decode_tok_s[0]:.0f} tokens a second",
    }


def _reply(reply: Reply) -> str:
    usage = reply.usage
    calls = "".join(f", calls {call.name}({call.arguments})" for call in reply.tool_calls)
    counted = f"{usage.thinking} thinking + {usage.visible} visible tokens, {usage.source}"
    return f"{reply.status}, {one_line(reply.text, 60)!r}{one_line(calls, 120)}; {counted}"


def _ask(name: str, ask: Callable[[], str]) -> bool:
    try:
        _say(name, ask())
    except EngineCannot as error:
        _say(name, f"cannot: {error}")
    except EngineError as error:
        _say(name, f"ERROR: {error}")
        return False
    return True


def _say(name: str, what: object) -> None:
    print(f"{name:14}{one_line(str(what), 300)}", flush=True)
