"""Images through real llama.cpp: a tiny random model with a tiny projector of Gemma 3's kind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from typing import Literal

import pytest

from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.images import whole
from pytest_quantcheck.images import with_images
from pytest_quantcheck.records import Reply
from tests import ggufs
from tests.ggufs import png

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

RED, BLUE = png(255, 0, 0), png(0, 0, 255)
IMAGE_TOKENS = 4
ENDLESS = {ggufs.END: -50.0}
TYPED = (
    "{%- for message in messages -%}{{- message['role'] + ': ' -}}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}{%- endfor -%}{{- '\\n' -}}{%- endfor -%}"
)
"""A template that understands nothing but lists of parts."""
DEAF = "{%- for message in messages -%}{{- message['role'] + '\\n' -}}{%- endfor -%}"
CHOOSY = DEAF + "{%- if messages[0]['content'] is not string -%}{{- raise_exception('text only') -}}{%- endif -%}"

_ABSENT = """
try:
    import llama_cpp.mtmd_cpp
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module", autouse=True)
def _needs_mtmd() -> None:
    """A build may lack the library; asked in a process of its own, as pytest never loads llama.cpp."""
    done = subprocess.run([sys.executable, "-c", _ABSENT], capture_output=True, text=True, check=True)
    if done.stdout:
        pytest.skip(f"this build of llama-cpp-python takes no images: {done.stdout.strip()}")


Make = Callable[..., ProcessEngine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Engines of random models, closed at the end."""
    engines: list[ProcessEngine] = []

    def made(mmproj: Path | str, *, settings: dict[str, Any] | None = None, **model: Any) -> ProcessEngine:
        path = ggufs.write_random_llama(tmp_path / f"model{len(engines)}.gguf", likely=ENDLESS, **model)
        engine = ProcessEngine(path, LoadSettings(mmproj=str(mmproj), **(settings or {})), timeout=60)
        engines.append(engine)
        return engine

    yield made
    for engine in engines:
        engine.close()


@pytest.fixture
def mmproj(tmp_path: Path) -> Path:
    return ggufs.write_random_mmproj(tmp_path / "mmproj.gguf")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """For all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("seeing")
    path = ggufs.write_random_llama(folder / "model.gguf", likely=ENDLESS)
    mmproj = ggufs.write_random_mmproj(folder / "mmproj.gguf")
    made = ProcessEngine(path, LoadSettings(mmproj=str(mmproj)), timeout=60)
    yield made
    made.close()


def ask(engine: ProcessEngine, *images: bytes, text: str = "What colour?", **generation: Any) -> Reply:
    content = with_images(text, images) if images else text
    messages = whole([{"role": "user", "content": content}], Path())
    return engine.chat(ChatRequest(messages, (), Generation(**{"max_tokens": 12, **generation})))


def test_an_image_changes_the_answer_and_the_same_image_gives_the_same(engine: ProcessEngine) -> None:
    replies = {name: ask(engine, *images) for name, images in (("none", ()), ("red", [RED]), ("blue", [BLUE]))}
    again = ask(engine, RED)

    assert len({reply.text for reply in replies.values()}) == 3
    assert len({reply.prompt for reply in replies.values()}) == 3
    assert (again.text, again.prompt, again.usage) == (
        replies["red"].text,
        replies["red"].prompt,
        replies["red"].usage,
    )
    assert engine.loads == 1
    assert engine.facts["projector"] == "mmproj.gguf"


def test_an_image_counts_as_prompt_tokens(engine: ProcessEngine) -> None:
    # a projector of Gemma 3's kind comes with two markers of its own, which are text here
    markers = len(engine.tokenize("<start_of_image>")) + len(engine.tokenize("<end_of_image>"))
    counts = [ask(engine, *[RED] * number).usage.prompt for number in range(4)]

    assert [after - before for before, after in pairwise(counts)] == [markers + IMAGE_TOKENS] * 3


def test_the_order_of_images_counts(engine: ProcessEngine) -> None:
    both = [ask(engine, *images, temperature=1.0, seed=1) for images in ([RED, BLUE], [BLUE, RED])]

    assert both[0].usage.prompt == both[1].usage.prompt
    assert both[0].prompt != both[1].prompt
    assert both[0].text != both[1].text


def test_a_conversation_keeps_its_images_where_they_stand(engine: ProcessEngine) -> None:
    def turns(*contents: Any) -> Reply:
        roles = ("user", "assistant", "user")
        messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        return engine.chat(ChatRequest(whole(messages, Path()), (), Generation(max_tokens=8)))

    early = turns(with_images("What?", [RED]), "Red.", "Sure?")
    late = turns("What?", "Red.", with_images("Sure?", [RED]))

    assert early.usage.prompt == late.usage.prompt
    assert early.prompt != late.prompt


def test_parts_of_text_alone_are_one_text(engine: ProcessEngine) -> None:
    parts = [{"type": "text", "text": "What"}, {"type": "text", "text": "now?"}]

    reply = engine.chat(ChatRequest(({"role": "user", "content": parts},), (), Generation(max_tokens=4)))

    assert reply.prompt == ask(engine, text="What\nnow?", max_tokens=4).prompt


def test_a_seeded_draw_and_noise_are_the_same_twice(engine: ProcessEngine) -> None:
    drawn: dict[str, Any] = {"temperature": 1.0, "seed": 7, "penalty_repeat": 1.1, "noise": 0.3}

    assert ask(engine, RED, **drawn).text == ask(engine, RED, **drawn).text != ask(engine, RED).text


_ORACLE = """
import ctypes, json, sys
import llama_cpp.llama_cpp as C
import llama_cpp.mtmd_cpp as M

path, mmproj, prompt, data, count, add_bos = json.load(sys.stdin)
model = C.llama_model_load_from_file(path.encode(), C.llama_model_default_params())
params = C.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads, params.n_threads_batch = 2048, 512, 512, 1, 1
context = C.llama_init_from_model(model, params)
vocabulary = C.llama_model_get_vocab(model)
how = M.mtmd_context_params_default()
how.n_threads, how.use_gpu = 1, False
mtmd = M.mtmd_init_from_file(mmproj.encode(), model, how)
data = bytes.fromhex(data)
bitmap = M.mtmd_helper_bitmap_init_from_buf(mtmd, (ctypes.c_uint8 * len(data)).from_buffer_copy(data), len(data), False)
chunks = M.mtmd_input_chunks_init()
prompt = prompt.encode()
text = M.mtmd_input_text(prompt, len(prompt), add_bos, True)
assert M.mtmd_tokenize(mtmd, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1) == 0
past = C.llama_pos(0)
assert M.mtmd_helper_eval_chunks(mtmd, context, chunks, 0, 0, 512, True, ctypes.byref(past)) == 0
answer, size = b"", C.llama_vocab_n_tokens(vocabulary)
piece = ctypes.create_string_buffer(64)
at = past.value
for _ in range(count):
    logits = C.llama_get_logits_ith(context, -1)
    token = max(range(size), key=lambda one: logits[one])
    length = C.llama_token_to_piece(vocabulary, token, piece, 64, 0, True)
    answer += piece.raw[:length]
    one = (C.llama_token * 1)(token)  # the batch keeps no reference
    batch = C.llama_batch_get_one(one, 1)
    batch.pos = (C.llama_pos * 1)(at)
    at += 1
    assert C.llama_decode(context, batch) == 0
print(json.dumps([answer.decode(), M.mtmd_helper_get_n_tokens(chunks)]))
"""


def oracle(model: Path, mmproj: Path, prompt: str, image: bytes, count: int, *, add_bos: bool = False) -> list[Any]:
    """The greedy answer and the tokens of a prompt, by mtmd's own way through all chunks."""
    given = json.dumps([str(model), str(mmproj), prompt, image.hex(), count, add_bos])
    done = subprocess.run([sys.executable, "-c", _ORACLE], input=given, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("kind", "template", "add_bos"),
    [
        ("gemma3", ggufs.CHATML, False),
        ("gemma3", TYPED, True),
        # its images take more places in the cache than positions
        ("qwen2vl_merger", ggufs.CHATML, False),
    ],
)
def test_the_answer_is_that_of_mtmd_itself(
    make: Make, tmp_path: Path, kind: Literal["gemma3", "qwen2vl_merger"], template: str, add_bos: bool
) -> None:
    mmproj = ggufs.write_random_mmproj(tmp_path / "own.gguf", kind=kind)
    engine = make(
        mmproj,
        chat_template=template,
        architecture="llama" if kind == "gemma3" else "qwen2vl",
        metadata={"tokenizer.ggml.add_bos_token": add_bos},
    )
    prompts = {
        ggufs.CHATML: "<|im_start|>user\n<__media__>What colour?<|im_end|>\n<|im_start|>assistant\n",
        TYPED: "user: <__media__>What colour?\n",
    }
    image = png(255, 0, 0, size=96)

    reply = ask(engine, image, max_tokens=10)
    answer, tokens = oracle(engine.path, mmproj, prompts[template], image, 10, add_bos=add_bos)

    assert reply.raw == answer
    assert reply.usage.prompt == tokens


# --- what cannot be ---


def test_an_image_without_a_projector(make: Make) -> None:
    engine = make("")

    with pytest.raises(EngineRefused, match=r"^an image needs --quant-mmproj=FILE: the projector \(mmproj\) that was"):
        ask(engine, RED)
    assert ask(engine).text


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("width", "mismatch between text model (n_embd = 256) and mmproj (n_embd = 64)"),
        ("truncated", "failed to load model"),
        ("a text model", "Failed to load CLIP model"),
    ],
)
def test_a_wrong_projector_is_refused_by_llama_cpp_with_its_cause(
    make: Make, mmproj: Path, tmp_path: Path, how: str, why: str
) -> None:
    wrong = tmp_path / "wrong.gguf"
    if how == "width":
        ggufs.write_random_mmproj(wrong, width=64)
    elif how == "truncated":
        ggufs.write_random_mmproj(wrong)
        ggufs.truncate(wrong, 0.5)
    elif how == "a text model":
        ggufs.write_random_llama(wrong)
    engine = make(wrong)

    for _ in range(2):  # not loaded again
        with pytest.raises(EngineRefused, match=r"^wrong\.gguf: llama\.cpp cannot load this projector: ") as caught:
            ask(engine, RED)
        assert why in str(caught.value)
    assert ask(engine).text
    assert engine.loads == 1


def test_an_image_that_cannot_be_decoded(engine: ProcessEngine) -> None:
    for data in (RED[:60], RED[:-30], RED[:8] + b"x" * 50, b"BM is no bitmap", b"GIF89a", b"\xff\xd8\xff\xe0"):
        with pytest.raises(EngineRefused, match=rf"^an image of {len(data)} bytes .* cannot be decoded"):
            ask(engine, data)
    assert ask(engine, RED).text
    assert engine.loads == 1


@pytest.mark.parametrize("template", [DEAF, CHOOSY])
def test_a_template_that_leaves_images_out(make: Make, mmproj: Path, template: str) -> None:
    with pytest.raises(EngineRefused, match="the file's chat template leaves images out"):
        ask(make(mmproj, chat_template=template), RED)


def test_a_prompt_of_images_that_is_longer_than_the_context(make: Make, mmproj: Path) -> None:
    engine = make(mmproj, settings={"context": 64})

    with pytest.raises(EngineRefused, match=r"^the prompt has \d\d+ tokens, the context \d+; raise --quant-ctx$"):
        ask(engine, *[RED] * 10)


def test_an_image_that_must_be_read_at_once_and_is_too_large(make: Make, tmp_path: Path) -> None:
    engine = make(ggufs.write_random_mmproj(tmp_path / "fine.gguf", side=23))

    with pytest.raises(EngineRefused, match=r"^an image takes 529 tokens that this model must read at once; 512 are "):
        ask(engine, RED)


def test_a_build_without_the_library(make: Make, mmproj: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MTMD_CPP_LIB", str(tmp_path))
    engine = make(mmproj)

    for _ in range(2):
        with pytest.raises(EngineCannot, match=r"^this build of llama-cpp-python takes no images: its mtmd library is"):
            ask(engine, RED)
    assert ask(engine).text
    assert engine.loads == 1


# --- whole runs ---

SUITE = """
FORCED = 'root ::= "red"'  # a random model would not end

def test_image(quant):
    reply = quant.chat("Which?", images=["red.png"], grammar=FORCED)
    assert (reply.text, reply.usage.prompt > 40) == ("red", True)

def test_text(quant):
    assert quant.chat("Which?", grammar=FORCED).text == "red"
"""


def test_a_run_with_images(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mmproj: Path) -> None:
    for seed, name in enumerate(("old", "new")):
        ggufs.write_random_llama(pytester.path / f"{name}.gguf", seed=seed)
    (pytester.path / "red.png").write_bytes(RED)
    pytester.makepyfile(SUITE)
    sides = ("--quant-model=new.gguf", "--quant-baseline=old.gguf", f"--quant-mmproj={mmproj}")

    def run() -> tuple[pytest.RunResult, Any]:
        result = pytester.runpytest("-p", "no:randomly", *sides, "--quant-report=r.json", "--quant-cache=off")
        return result, json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))

    result, report = run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*projector mmproj.gguf*"])
    assert {pair["pair"].split("::")[1]: pair["verdict"]["word"] for pair in report["pairs"]} == {
        "test_image": "held",
        "test_text": "held",
    }
    sides_read = [
        [pair[side]["replies"][0]["prompt"] for side in ("baseline", "candidate")] for pair in report["pairs"]
    ]
    assert all(old == new for old, new in sides_read)

    monkeypatch.setenv("MTMD_CPP_LIB", str(pytester.path))
    result, report = run()
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["quantcheck: 2 skipped: *this build of llama-cpp-python takes no images: its mtmd*"])
