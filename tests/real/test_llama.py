"""The engine on tiny random models through real llama.cpp."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.engines.base import KV_TYPES
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from tests import ggufs
from tests.ggufs import END

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

ENDLESS = {END: -50.0}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


class Models:
    """Engines of random models, closed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: list[ProcessEngine] = []

    def file(self, **how: Any) -> Path:
        return ggufs.write_random_llama(self._folder / f"{len(list(self._folder.iterdir()))}.gguf", **how)

    def engine(
        self, path: Path | None = None, settings: LoadSettings | None = None, *, code_timeout: float = 10.0, **how: Any
    ) -> ProcessEngine:
        path = path or self.file(**how)
        engine = ProcessEngine(path, settings or LoadSettings(), timeout=60, code_timeout=code_timeout)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    made = Models(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """A model that never ends by itself, for all tests that leave it as it is."""
    made = Models(tmp_path_factory.mktemp("plain"))
    yield made.engine(likely=ENDLESS)
    made.close()


def chat(engine: ProcessEngine, text: str = "Hello", **generation: Any) -> Reply:
    given = Generation(**{"max_tokens": 12, **generation})
    return engine.chat(ChatRequest(({"role": "user", "content": text},), (), given))


def complete(engine: ProcessEngine, text: str = "Hello", **generation: Any) -> Reply:
    return engine.complete(CompletionRequest(text, Generation(**{"max_tokens": 12, **generation})))


# --- answers ------------------------------------------------------------------------------------------------------


def test_greedy_answers_do_not_depend_on_what_was_asked_before(models: Models) -> None:
    path = models.file(likely=ENDLESS)
    first, second = models.engine(path), models.engine(path)

    alone = chat(first, "one", max_tokens=40)
    for text in ("two", "one and", "on"):
        chat(second, text)
    after = chat(second, "one", max_tokens=40)

    assert alone.raw == after.raw == chat(second, "one", max_tokens=40).raw
    assert alone.raw != chat(second, "two", max_tokens=40).raw
    assert len(alone.raw) > 20
    assert first.loads == second.loads == 1


def test_threads_do_not_change_an_answer(models: Models) -> None:
    path = models.file(likely=ENDLESS)
    answers = {chat(models.engine(path, LoadSettings(threads=threads))).raw for threads in (1, 2)}
    assert len(answers) == 1


def test_a_sampled_answer_follows_its_seed(plain: ProcessEngine) -> None:
    answers = [chat(plain, temperature=1.5, seed=seed).raw for seed in (1, 1, 2, 3)]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=["top_k", "top_p", "min_p"])
def test_each_step_that_leaves_one_token_makes_a_draw_greedy(narrow: dict[str, Any], plain: ProcessEngine) -> None:
    greedy = chat(plain).raw

    assert chat(plain, temperature=1.5, seed=1).raw != greedy
    assert chat(plain, temperature=1.5, seed=1, **narrow).raw == greedy


def test_a_repeat_penalty_counts_the_answer_and_the_prompt(models: Models) -> None:
    """One token is far likelier than all others, unless it was said already."""
    engine = models.engine(likely={**ENDLESS, "e": 30.0})
    strong: dict[str, Any] = {"temperature": 0.01, "penalty_repeat": 100.0, "max_tokens": 4}

    assert complete(engine, "f", temperature=0.01, max_tokens=4).raw == "eeee"
    said_once = complete(engine, "f", **strong).raw
    assert said_once.startswith("e")
    assert "e" not in said_once[1:]
    assert not complete(engine, "e", **strong).raw.startswith("e")
    assert complete(engine, "ef", **strong, penalty_last_n=1).raw.startswith("e")


def test_noise_damages_an_answer_reproducibly(plain: ProcessEngine) -> None:
    greedy = chat(plain).raw

    assert chat(plain, noise=1e-6).raw == greedy
    assert chat(plain, noise=3.0, seed=1).raw == chat(plain, noise=3.0, seed=1).raw != greedy
    assert chat(plain, noise=3.0, seed=2).raw != chat(plain, noise=3.0, seed=1).raw
    assert chat(plain).raw == greedy


def test_the_xtc_step_takes_the_likeliest_token_away(plain: ProcessEngine) -> None:
    cold: dict[str, Any] = {"temperature": 0.01, "max_tokens": 1}

    without = chat(plain, **cold, xtc_probability=1.0, xtc_threshold=1e-6).raw

    assert without != chat(plain, **cold).raw


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 2**32])
def test_a_seed_that_would_be_drawn_at_random_is_refused(seed: int, plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match="the seed must lie between"):
        chat(plain, seed=seed)


@pytest.mark.parametrize("budget", [1, 2, 7])
def test_the_budget_is_met_exactly(budget: int, plain: ProcessEngine) -> None:
    reply = chat(plain, max_tokens=budget)

    assert (reply.finish, reply.status) == ("length", Status.TRUNCATED)
    assert (reply.usage.total, reply.usage.visible, reply.usage.thinking) == (budget, budget, 0)
    assert reply.usage.source == "exact"
    assert chat(plain, max_tokens=20).raw.startswith(reply.raw)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_nothing_is_refused(budget: int, plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match=f"max_tokens must be at least 1, got {budget}"):
        chat(plain, max_tokens=budget)


def test_the_context_ends_an_answer_without_a_budget(models: Models) -> None:
    engine = models.engine(settings=LoadSettings(context=256), likely=ENDLESS)
    reply = chat(engine, max_tokens=None)
    assert reply.finish == "length"
    assert reply.usage.prompt + reply.usage.total == engine.facts["context"] == 256


def test_prompt_tokens_are_those_of_the_rendered_prompt(plain: ProcessEngine) -> None:
    rendered = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert chat(plain).usage.prompt == len(plain.tokenize(rendered))
    assert complete(plain, "abc").usage.prompt == 3


@pytest.mark.parametrize(
    ("likely", "status", "thinking", "visible"),
    [
        ({END: 50}, Status.EMPTY, 0, 0),
        ({"<think>": 50}, Status.STARVED, 8, 0),
        ({"</think>": 50}, Status.TRUNCATED, 1, 7),
        ({"<tool_call>": 50}, Status.STARVED, 0, 8),
        (ENDLESS, Status.TRUNCATED, 0, 8),
    ],
)
def test_how_answers_end(likely: dict[str, float], status: Status, thinking: int, visible: int, models: Models) -> None:
    reply = chat(models.engine(likely=likely), max_tokens=8)

    assert reply.status is status
    assert (reply.usage.thinking, reply.usage.visible) == (thinking, visible)
    assert reply.usage.total == thinking + visible


@pytest.mark.parametrize(
    ("grammar", "status", "thinking", "text"),
    [
        ('root ::= "<think>the</think>red"', Status.OK, "the", "red"),
        ('root ::= "<think>the</think>"', Status.EMPTY, "the", ""),
        ('root ::= "<think>the"', Status.UNCLOSED, "the", ""),
        ('root ::= "red"', Status.OK, "", "red"),
    ],
)
def test_how_answers_end_by_themselves(
    grammar: str, status: Status, thinking: str, text: str, plain: ProcessEngine
) -> None:
    reply = chat(plain, grammar=grammar, thinking=True, max_tokens=60)

    assert (reply.finish, reply.status, reply.thinking, reply.text) == ("stop", status, thinking, text)
    assert (reply.usage.thinking > 0) == bool(thinking)


def test_a_tool_call(plain: ProcessEngine) -> None:
    call = r'root ::= "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>"'
    reply = chat(plain, grammar=call, max_tokens=80)
    assert [(made.name, made.arguments) for made in reply.tool_calls] == [("f", {"x": 1})]
    assert (reply.status, reply.text) == (Status.OK, "")


def test_the_first_visible_token_comes_after_the_thought(plain: ProcessEngine) -> None:
    thoughtful = chat(plain, grammar='root ::= "<think>" [a-z]{20} "</think>red"', thinking=True, max_tokens=80).timings
    direct = chat(plain).timings

    assert direct.first_visible_s is not None
    assert thoughtful.first_visible_s is not None
    assert 0 < direct.first_token_s <= direct.first_visible_s < direct.total_s
    assert 0 < thoughtful.first_token_s < thoughtful.first_visible_s < thoughtful.total_s


def test_a_character_that_the_budget_cuts(plain: ProcessEngine) -> None:
    reply = chat(plain, grammar='root ::= "é☃"', max_tokens=3)

    assert reply.usage.total == 3
    assert reply.text == "é\N{REPLACEMENT CHARACTER}"
    assert json.loads(json.dumps(reply.to_payload())) == reply.to_payload()


def test_a_long_piece_is_not_lost(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "<" + "long" * 2000 + ">"
    monkeypatch.setattr(ggufs, "USER_DEFINED", (*ggufs.USER_DEFINED[:-1], long))
    reply = complete(models.engine(likely={long: 50.0}), max_tokens=2)
    assert reply.text == long * 2


def test_a_completion_is_raw(plain: ProcessEngine) -> None:
    reply = complete(plain, max_tokens=5)

    assert (reply.status, reply.finish, reply.usage.total, reply.thinking) == (Status.OK, "length", 5, "")
    assert reply.text == reply.raw
    assert complete(plain, "<|im_start|>", max_tokens=1).usage.prompt == 1


def test_an_empty_prompt_is_refused(plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match="the prompt is empty"):
        complete(plain, "")


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\0b\r\n\u2028", "{{ x }}", "é" * 50])
def test_any_text_can_be_asked(text: str, plain: ProcessEngine) -> None:
    assert chat(plain, text).usage.total == 12


def test_the_bos_token_is_never_doubled(models: Models) -> None:
    add = {"tokenizer.ggml.add_bos_token": True}
    with pytest.MonkeyPatch.context() as patch:
        # the maker always says that none is added
        patch.setattr("gguf.GGUFWriter.add_add_bos_token", lambda writer, value: None)
        bare = models.engine(metadata=add, likely=ENDLESS)
        written = models.engine(metadata=add, likely=ENDLESS, chat_template="{{ bos_token }}" + ggufs.CHATML)

    assert chat(bare).usage.prompt == chat(written).usage.prompt
    assert chat(bare).raw == chat(written).raw
    assert complete(bare, "abc").usage.prompt == 4
    assert complete(bare, "<|endoftext|>abc").usage.prompt == 4
    assert len(bare.tokenize("abc")) == 3


def test_a_prompt_of_many_chunks(models: Models) -> None:
    engine = models.engine(likely=ENDLESS)
    reply = complete(engine, "a" * 1500, max_tokens=3)
    assert reply.usage.prompt == 1500
    assert complete(engine, "a" * 1500, max_tokens=3).raw == reply.raw


def test_a_prompt_longer_than_the_context(plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match=r"^the prompt has \d+ tokens, the context 2048; raise --quant-ctx$"):
        chat(plain, "a" * 3000)
    assert complete(plain, "a" * 2047).usage.total == 1
    with pytest.raises(EngineRefused):
        complete(plain, "a" * 2048)


def test_the_answers_are_those_of_the_high_level_api(models: Models) -> None:
    import llama_cpp

    path = models.file(likely=ENDLESS)
    prompt = "The harbour woke before the town did. " * 20  # more than one chunk
    mine = complete(models.engine(path), prompt, max_tokens=48)

    theirs = llama_cpp.Llama(
        str(path), n_ctx=2048, n_batch=512, n_ubatch=512, n_threads=1, flash_attn=True, verbose=False
    )
    try:
        ids = theirs.tokenize(prompt.encode(), add_bos=False, special=True)
        generated: list[int] = []
        for token in theirs.generate(ids, temp=0.0, repeat_penalty=1.0):
            generated.append(token)
            if len(generated) == 48:
                break
        text = theirs.detokenize(generated, special=True).decode()
    finally:
        theirs.close()

    assert mine.usage.prompt == len(ids) > 512
    assert mine.raw == text


# --- memory ---------------------------------------------------------------------------------------------------------


def test_memory_is_measured(plain: ProcessEngine) -> None:
    plain.tokenize("x")
    assert plain.peak_memory is not None
    assert 10_000_000 < plain.peak_memory < 2_000_000_000


# --- grammars -----------------------------------------------------------------------------------------------------


def test_a_schema_forces_the_answer(plain: ProcessEngine) -> None:
    reply = chat(plain, json_schema=SCHEMA, max_tokens=200)
    assert reply.status is Status.OK
    assert set(reply.json) == {"a", "b"}
    assert reply.json["b"] in ("x", "y")


def test_a_grammar_leaves_no_room_for_a_thought(models: Models) -> None:
    source = "{% if enable_thinking %}yes{% else %}no{% endif %}{% if enable_thinking is not defined %}yes{% endif %}"
    engine = models.engine(chat_template=source)
    grammar = 'root ::= "red"'
    assert chat(engine, grammar=grammar).usage.prompt == len(engine.tokenize("no"))
    assert chat(engine, grammar=grammar, thinking=True).usage.prompt == len(engine.tokenize("yes"))


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("root ::= (", r"llama.cpp refuses the grammar: .*expecting '\)'"),
        ('root ::= root "a" | "b"', r"refuses the grammar: unsupported grammar, left recursion"),
        ("root ::= nosuch", r"refuses the grammar: .*Undefined rule identifier 'nosuch'"),
        ('x ::= "a"', r"refuses the grammar: grammar does not contain a 'root' symbol"),
        ("", r"^the grammar is empty"),
        ('root ::= "a"\0', r"^the grammar is empty or holds a NUL"),
    ],
)
def test_a_bad_grammar_is_refused(grammar: str, reason: str, plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match=reason):
        chat(plain, grammar=grammar)
    assert chat(plain).usage.total == 12
    assert plain.loads == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nosuch"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://127.0.0.1:9/x.json"},
        {"$ref": "file:///etc/passwd"},
        {"type": "string", "pattern": "("},
        {"type": "string", "pattern": "^(?=a)b$"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 100_000_000},
    ],
)
def test_a_schema_that_makes_no_grammar_is_refused(schema: dict[str, Any], plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match=r"^this JSON schema cannot be turned into a grammar: [^\n]+$"):
        chat(plain, json_schema=schema)
    assert plain.loads == 1


@pytest.mark.parametrize(
    "pattern", ["^((((a{500}){500}){500}){500})$", "^(a|a)*(a|aa)*b$", "^" + "(" * 200 + "a" + ")" * 200 + "$"]
)
def test_a_hard_pattern_does_no_harm(pattern: str, plain: ProcessEngine) -> None:
    with contextlib.suppress(EngineError):
        chat(plain, json_schema={"type": "string", "pattern": pattern})
    assert chat(plain).usage.total == 12


def test_a_grammar_or_a_schema(plain: ProcessEngine) -> None:
    with pytest.raises(EngineRefused, match="not both"):
        chat(plain, grammar='root ::= "a"', json_schema=SCHEMA)


def test_a_grammar_that_crashes_llama_cpp(models: Models) -> None:
    engine = models.engine(likely=ENDLESS)
    before = chat(engine).raw

    with pytest.raises(EngineDied, match=r"^the engine's process died \(SIGSEGV.*while reading the grammar\)[^\n]*$"):
        chat(engine, grammar="root ::= " + "(" * 200_000 + '"a"' + ")" * 200_000)

    assert chat(engine).raw == before
    assert engine.loads == 2


def test_a_grammar_that_takes_too_long(models: Models) -> None:
    engine = models.engine(likely=ENDLESS, code_timeout=2)
    with pytest.raises(EngineRefused, match=r"^reading the grammar did not finish within 2 s$"):
        chat(engine, json_schema={"type": "string", "minLength": 100_000_000})
    assert chat(engine).usage.total == 12


# --- templates ----------------------------------------------------------------------------------------------------


def test_a_thinking_budget_is_kept_or_refused_never_ignored(models: Models, plain: ProcessEngine) -> None:
    knows = models.engine(chat_template="{{ thinking_budget is defined and thinking_budget or 'none' }}")

    assert chat(knows, thinking_budget=7).usage.prompt < chat(knows).usage.prompt
    with pytest.raises(EngineRefused, match=r"knows no thinking_budget, so --quant-thinking=budget:N cannot be kept"):
        chat(plain, thinking_budget=7)


def test_the_thinking_switch_is_always_given(models: Models) -> None:
    engine = models.engine(likely=ENDLESS)
    prompts = {thinking: chat(engine, thinking=thinking).usage.prompt for thinking in (None, True, False)}
    assert prompts[None] == prompts[True] < prompts[False]


def test_a_thought_that_the_prompt_opened(models: Models) -> None:
    engine = models.engine(likely=ENDLESS, chat_template=ggufs.CHATML + "{{ '<think>\\n' }}")
    assert chat(engine, max_tokens=6).status is Status.STARVED
    reply = chat(engine, grammar='root ::= "the</think>red"', max_tokens=40)
    assert (reply.thinking, reply.text, reply.status) == ("the", "red", Status.OK)


def test_tools_reach_the_prompt(plain: ProcessEngine) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    messages = ({"role": "user", "content": "Hello"},)
    reply = plain.chat(ChatRequest(messages, (tool,), Generation(max_tokens=2)))
    assert reply.usage.prompt > chat(plain, max_tokens=2).usage.prompt + len("parameters")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, r"^the file has no chat template"),
        ("{% if %}", r"^the file's chat template does not parse: "),
        (
            "{{ raise_exception('no\n\x1b[2Jthanks') }}",
            r"^the file's chat template refuses these messages: no .+\[2Jthanks$",
        ),
        ("{{ 'x' * 10 ** 11 }}", r"^the file's chat template fails: MemoryError"),
        ("", r"^the file has no chat template"),
    ],
)
def test_a_template_that_fails(source: str | None, reason: str, models: Models) -> None:
    engine = models.engine(chat_template=source, likely=ENDLESS)
    with pytest.raises(EngineRefused, match=reason):
        chat(engine)
    assert complete(engine).usage.total == 12
    assert engine.loads == 1


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = messages | length + 8 %}{{ n ** (n ** n) }}",  # never lets another thread of the process run
    ],
)
def test_a_template_that_never_ends(source: str, models: Models) -> None:
    engine = models.engine(chat_template=source, code_timeout=2)
    for _ in range(2):
        with pytest.raises(EngineRefused, match=r"cannot be used: rendering the file's chat template did not finish"):
            chat(engine)
    assert (engine.loads, engine.pid) == (1, None)


# --- files and settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_every_kv_type_generates(kv_type: str, models: Models) -> None:
    assert chat(models.engine(settings=LoadSettings(kv_type=kv_type), likely=ENDLESS), max_tokens=3).usage.total == 3


def test_an_unknown_kv_type(models: Models) -> None:
    with pytest.raises(EngineRefused, match="unknown KV type 'q3_x'; known: f32, f16"):
        chat(models.engine(settings=LoadSettings(kv_type="q3_x")))


@pytest.mark.parametrize("context", [100_000_000, 2**31 - 1, -1])
def test_a_context_larger_than_memory(context: int, models: Models) -> None:
    engine = models.engine(settings=LoadSettings(context=context, kv_type="f32"))
    with pytest.raises(EngineRefused, match=f"did not load: a context of {context} tokens needs more than"):
        chat(engine)


def test_a_context_that_cannot_be_allocated(models: Models) -> None:
    resource = pytest.importorskip("resource")
    engine = models.engine(settings=LoadSettings(context=2_000_000, kv_type="f32"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, before[1]))
    try:
        with pytest.raises(EngineRefused, match=r"cannot make a context of 2000000 tokens.*a smaller --quant-ctx"):
            chat(engine)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_damaged_weights_are_refused(models: Models) -> None:
    with pytest.raises(EngineRefused, match=r"did not load: llama.cpp cannot load it: .*invalid data"):
        chat(models.engine(nan=True))


def test_an_overflow_inside_the_model_is_refused(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    ggufs.overflow(monkeypatch, "output.weight")
    engine = models.engine(weights="F32")
    with pytest.raises(EngineRefused, match="computes NaN or infinity"):
        chat(engine)


def test_an_unknown_architecture_is_refused(models: Models) -> None:
    with pytest.raises(EngineRefused, match=r"did not load: .*unknown model architecture: 'nosuch'"):
        chat(models.engine(architecture="nosuch"))


def test_a_projector_is_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match=r"did not load: llama.cpp cannot load it: [^\n]+"):
        chat(models.engine(ggufs.write_random_mmproj(tmp_path / "mmproj.gguf")))


@pytest.mark.parametrize("what", ["missing", "directory", "random"])
def test_what_is_no_model_is_refused(what: str, models: Models, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    if what == "directory":
        path.mkdir()
    elif what == "random":
        path.write_bytes(os.urandom(5000))
    engine = models.engine(path)
    with pytest.raises(EngineRefused, match=r"^x\.gguf did not load: llama.cpp cannot load it: [^\n]+$"):
        chat(engine)
    with pytest.raises(EngineRefused):
        engine.card()


def test_a_name_of_any_bytes(models: Models, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff \xc3\xa9'.gguf"))
    assert chat(models.engine(models.file(likely=ENDLESS).rename(path))).usage.total == 12
