"""What can go wrong between us and a server: sent again where nothing was answered, else one clear line."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_quantcheck.cli import main
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.server import client
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.client import key_of
from pytest_quantcheck.engines.server.engine import ServerEngine
from pytest_quantcheck.records import Role
from tests.fakes.base import Fake
from tests.fakes.base import Fault
from tests.fakes.base import Says
from tests.fakes.ollama import Ollama
from tests.fakes.openai import LlamaServer
from tests.fakes.openai import OpenAi
from tests.fakes.openai import Vllm
from tests.real.servers import free_port

CANARY = "sk-canary-0123456789"
CHOICE = ChoiceRequest((" a", " b"), prompt="x")
TEXTS = EmbeddingRequest(("a",))
REQUEST = ChatRequest(({"role": "user", "content": "hello"},), generation=Generation(max_tokens=50))


def script(prompt: str) -> Says:
    return Says((), tuple(f" {word}" for word in ["you", "said", *prompt.split()]))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE_S", 0.001)


@contextmanager
def engine(fake: Fake, *, timeout: float = 20, key: str = "") -> Generator[ServerEngine]:
    with fake.running() as url:
        made = ServerEngine(Address(url), LoadSettings(), timeout=timeout, key=key)
        try:
            made.card()
            yield made
        finally:
            made.close()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 2, status=503, body={"error": {"message": "no slot available"}}),
        Fault("status", 2, status=502, body=b"<html>Bad Gateway</html>"),
        Fault("status", 2, status=429, body={}, headers={"Retry-After": "0"}),
        Fault("reset", 2),
        Fault("empty", 2),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_what_was_not_answered_is_sent_again(fault: Fault) -> None:
    fake = OpenAi(script)
    with engine(fake) as made:
        fake.fault = fault
        assert made.chat(REQUEST).text == "you said hello"

    bodies = fake.bodies("/v1/chat/completions")
    assert len(bodies) == 3
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault("status", 99, status=500, body={"error": {"message": "boom"}}), EngineRefused, "status 500: boom"),
        (Fault("status", 99, status=503, body={"detail": "busy"}), EngineRefused, "answers with status 503: busy"),
        (
            Fault("status", 99, status=404, body={"error": "model 'x' not found"}),
            EngineRefused,
            "404: model 'x' not fo",
        ),
        (Fault("status", 99, status=400, body={"message": "too long"}), EngineRefused, "status 400: too long"),
        (
            Fault("status", 99, status=418, body=b"\x1b[31mteapot\x00\n" * 200),
            EngineRefused,
            r"status 418: \\x1b\[31mtea",
        ),
        (Fault("status", 99, status=429, body={}, headers={"Retry-After": "3600"}), EngineRefused, "status 429"),
        (
            Fault("status", 99, status=401, body={"error": {"message": "no"}}),
            EngineRefused,
            "wants a key; QUANTCHECK_API",
        ),
        (
            Fault("status", 99, status=302, body={}, headers={"Location": "http://else.where"}),
            EngineRefused,
            "status 302",
        ),
        (Fault("reset", 99), EngineRefused, "no server answers there"),
        (Fault("cut"), EngineDied, "the connection broke in the middle of an answer"),
        (Fault("end"), EngineDied, "the server's stream ended before the answer did"),
        (Fault("garbage"), EngineDied, "stream is broken: .* is no JSON"),
        (Fault("array"), EngineDied, "stream is broken: .* is no JSON object"),
        (Fault("error", body={"error": {"message": "slot lost"}}), EngineRefused, "broke its answer off: slot lost"),
        (Fault("error", body={"choices": [{"delta": 5}]}), EngineDied, "a delta is int"),
        (Fault("error", body={"choices": [{"delta": {}, "finish_reason": "abort"}]}), EngineDied, None),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_everything_else_is_one_clear_line(fault: Fault, kind: type[EngineError], words: str | None) -> None:
    fake = OpenAi(script)
    with engine(fake) as made:
        fake.fault = fault
        if words is None:  # the answer goes on after it
            assert made.chat(REQUEST).text
            return
        with pytest.raises(kind, match=words) as caught:
            made.chat(REQUEST)
        line = str(caught.value)
        assert line.isprintable()
        assert len(line) < 700
        fake.fault = None
        assert made.chat(REQUEST).text == "you said hello"  # the next test goes on


def test_a_list_of_models_that_is_not_there_yet_is_asked_for_again() -> None:
    fake = OpenAi(script)
    fake.fault = Fault("status", 1, status=503, body={"error": "busy"}, path="/v1/models")
    with engine(fake) as made:
        assert made.chat(REQUEST).text == "you said hello"


def test_seconds_to_wait_in_signs_that_are_no_digits() -> None:
    fake = OpenAi(script)
    with engine(fake) as made:
        fake.fault = Fault("status", 1, status=503, body={}, headers={"Retry-After": "\u00b2"})
        assert made.chat(REQUEST).text == "you said hello"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_what_cannot_be_decoded_is_one_clear_line(path: str) -> None:
    fake = OpenAi(script)
    fake.fault = Fault("status", 9, status=200, body={}, headers={"Content-Encoding": "gzip"}, path=path)
    words = r"no sense can be made of what it was asked or answered \(\w+: DecodingError: "
    with pytest.raises(EngineDied, match=words), engine(fake) as made:
        made.chat(REQUEST)


MALFORMED: list[tuple[type[OpenAi], str, Any, Any]] = [
    (LlamaServer, "/tokenize", {"tokens": 5}, lambda made: made.tokenize("x")),
    (Vllm, "/v1/completions", {"choices": [1]}, lambda made: made.choose(CHOICE)),
    (Vllm, "/v1/completions", {"choices": [{"prompt_logprobs": [-1.5] * 3}]}, lambda made: made.choose(CHOICE)),
    (OpenAi, "/v1/embeddings", {"data": [{"embedding": [10**400, 1]}]}, lambda made: made.embed(TEXTS)),
    (OpenAi, "/v1/embeddings", {"data": 5}, lambda made: made.embed(TEXTS)),
]


@pytest.mark.parametrize(("kind", "path", "said", "ask"), MALFORMED)
def test_an_answer_of_another_shape_is_no_traceback(kind: type[OpenAi], path: str, said: Any, ask: Any) -> None:
    fake = kind(script)
    with engine(fake) as made:
        fake.fault = Fault("status", 99, status=200, body=said, path=path)
        with pytest.raises((EngineError, EngineCannot)) as caught:
            ask(made)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("rows", [[-1.5], [None], [{"logprob": -(10**400)}], [{"logprob": "x" * 5000}]])
def test_rows_of_another_shape_are_no_likelihoods(rows: list[Any]) -> None:
    class Odd(Vllm):
        def post(self, path: str, body: dict[str, Any]) -> Any:
            if path != "/v1/completions":
                return super().post(path, body)
            told = [one if isinstance(one, float) else {str(token): one} for token in body["prompt"] for one in rows]
            return 200, {"choices": [{"prompt_logprobs": told}]}

    with engine(Odd(script)) as made, pytest.raises(EngineError) as caught:
        made.choose(CHOICE)
    assert len(str(caught.value)) < 700


def test_numbers_of_a_model_that_no_model_has() -> None:
    class Huge(LlamaServer):
        @property
        def entry(self) -> dict[str, Any]:
            return super().entry | {"meta": {"n_params": 10**400, "size": 10**400, "n_vocab": 1e999, "n_embd": True}}

    with engine(Huge(script)) as made:
        card = made.card()
    assert (card.parameters, card.tensor_bytes, card.vocabulary, card.embedding_length) == (0, 0, None, None)


def test_ollama_that_tells_its_models_once() -> None:
    class Once(Ollama):
        def get(self, path: str) -> tuple[int, Any]:
            if path == "/api/tags" and self.paths("GET").count(path) > 1:
                return 500, {"error": "x"}
            return (200, {"models": 5}) if path == "/api/ps" else super().get(path)

    with Once(script).running() as url:
        made = ServerEngine(Address(url, "tiny:q4"), LoadSettings(), timeout=20)
        assert made.chat(REQUEST).text == "you said hello"
        made.close()


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "xn--a"])
def test_a_host_that_cannot_be_is_one_clear_line(host: str) -> None:
    made = ServerEngine(Address(f"http://{host}", "m"), LoadSettings())
    with pytest.raises(EngineError, match=f"^http://{host}#m: no s"):
        made.card()


def test_an_answer_that_began_is_not_asked_for_again() -> None:
    fake = OpenAi(script)
    with engine(fake) as made:
        fake.fault = Fault("cut")
        with pytest.raises(EngineDied):
            made.chat(REQUEST)

    assert len(fake.bodies("/v1/chat/completions")) == 1


@pytest.mark.parametrize("kind", ["stall", "ping"])
def test_a_silence_is_no_new_token_whatever_else_is_sent(kind: str) -> None:
    fake = OpenAi(script)
    with engine(fake, timeout=0.5) as made:
        fake.fault = Fault(kind)
        start = time.monotonic()
        with pytest.raises(EngineHung, match=r"^the server sent no new token for 0.5 s; --quant-timeout sets it$"):
            made.chat(REQUEST)
        assert time.monotonic() - start < 2.5  # it would go on for three


def test_nobody_answers() -> None:
    made = ServerEngine(Address(f"http://127.0.0.1:{free_port()}", "m"), LoadSettings())
    with pytest.raises(EngineRefused, match=r"^http://127.0.0.1:\d+#m: no server answers there \(.*refused\)$"):
        made.card()


def test_a_server_that_starts_again_in_the_middle() -> None:
    fake = OpenAi(script)
    with fake.running() as url:
        made = ServerEngine(Address(url), LoadSettings(), timeout=20)
        assert made.chat(REQUEST).text == "you said hello"
    with pytest.raises(EngineRefused, match="no server answers there"):
        made.chat(REQUEST)
    port = int(url.rpartition(":")[2])
    with fake.running(port):
        assert made.chat(REQUEST).text == "you said hello"
    made.close()


def test_another_model_behind_the_same_address_is_noticed() -> None:
    fake = OpenAi(script)
    with engine(fake) as made:
        assert made.chat(REQUEST).text == "you said hello"
        fake.says_it_is = "other"
        with pytest.raises(
            EngineRefused, match=r"answers as 'other', before it was 'tiny': another model or build took"
        ):
            made.chat(REQUEST)
        fake.says_it_is = ""
        assert made.chat(REQUEST).text == "you said hello"


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LARGEST", 1000)
    monkeypatch.setattr(client, "_LONGEST_ANSWER", 200)
    fake = OpenAi(script, model="m" * 2000)
    with pytest.raises(EngineRefused, match=r"sends without end: \d+ bytes to a plain question"), engine(fake):
        pass
    with engine(OpenAi(script)) as made, pytest.raises(EngineRefused, match=r"without end: \d+ bytes in one answer"):
        made.chat(REQUEST)


@pytest.mark.once
def test_500_answers_at_once_are_neither_lost_nor_mixed_up() -> None:
    def ask(number: int) -> str:
        content = {"role": "user", "content": f"number {number}"}
        return made.chat(ChatRequest((content,), generation=Generation(max_tokens=50))).text

    fake = OpenAi(script)
    with engine(fake, timeout=60) as made, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(500)))

    assert answers == [f"you said number {number}" for number in range(500)]
    assert len(fake.bodies("/v1/chat/completions")) == 500


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_comes_from_the_environment_each_side_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_of(Role.BASELINE) == key_of(Role.CANDIDATE) == ""
    monkeypatch.setenv("QUANTCHECK_API_KEY", "both")
    monkeypatch.setenv("QUANTCHECK_BASELINE_API_KEY", "old")
    assert (key_of(Role.BASELINE), key_of(Role.CANDIDATE)) == ("old", "both")


def test_the_line_end_of_a_file_is_no_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTCHECK_API_KEY", f" {CANARY}\r\n")
    monkeypatch.setenv("QUANTCHECK_BASELINE_API_KEY", "\n")
    assert key_of(Role.BASELINE) == key_of(Role.CANDIDATE) == CANARY


@pytest.mark.parametrize("key", ["sk-can\u0105ry", "sk-can\nary", "sk-can\x1bary", "sk-can\udcffary"])
@pytest.mark.parametrize("name", ["QUANTCHECK_API_KEY", "QUANTCHECK_CANDIDATE_API_KEY"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(
    name: str,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, key)
    pytester.makepyfile("def test_it(quant):\n    pass\n")

    result = pytester.runpytest("--quant-model=http://127.0.0.1:1#m")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --quant-model: the key in {name} holds characters that no key has: *"])
    assert "sk-can" not in result.stdout.str() + result.stderr.str()
    assert main(["doctor", "http://127.0.0.1:1#m"]) == 2
    assert f"the key in {name} holds" in capsys.readouterr().err


@pytest.mark.parametrize("before", range(100, 160, 7))
def test_what_is_cut_short_leaves_no_half_of_a_key(before: int) -> None:
    said = {"error": {"message": "x" * before + CANARY + "y" * 300}}
    faults = [Fault("status", 9, status=500, body=said), Fault("error", body=said)]
    faults.append(Fault("error", body="x" * (before - 70) + CANARY + "y" * 100))
    fake = OpenAi(script)
    with engine(fake, key=CANARY) as made:
        for fault in faults:
            fake.fault = fault
            with pytest.raises(EngineError) as caught:
                made.chat(REQUEST)
            assert CANARY[:8] not in str(caught.value)
            assert CANARY[-8:] not in str(caught.value)


def test_a_key_is_sent_and_never_said() -> None:
    fake = OpenAi(script, key=CANARY)
    with engine(fake, key=CANARY) as made:
        assert made.chat(REQUEST).text == "you said hello"
        assert {one["authorization"] for one in fake.headers} == {f"Bearer {CANARY}"}
        for fault in (
            Fault("status", 9, status=400, body={"error": {"message": f"bad header Bearer {CANARY}"}}),
            Fault("status", 9, status=500, body=CANARY.encode()),
            Fault("error", body={"error": {"message": f"key {CANARY} has no credit"}}),
            Fault("error", body={"error": CANARY, "choices": 5}),
        ):
            fake.fault = fault
            with pytest.raises(EngineError, match=r"\*\*\*") as caught:
                made.chat(REQUEST)
            assert CANARY not in str(caught.value)


def test_a_wrong_key_and_no_key() -> None:
    fake = OpenAi(script, key=CANARY)
    with pytest.raises(EngineRefused, match=r"it wants a key; QUANTCHECK_API_KEY takes it"), engine(fake):
        pass
    with (
        pytest.raises(EngineRefused, match=r"the key in QUANTCHECK_API_KEY is not accepted") as caught,
        engine(fake, key="sk-w"),
    ):
        pass
    assert "sk-w" not in str(caught.value)


def test_a_run_with_a_key_leaves_it_nowhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QUANTCHECK_API_KEY", CANARY)
    caplog.set_level(logging.DEBUG)
    pytester.makepyfile(
        """
        def test_held(quant):
            assert quant.chat("hello", max_tokens=50).text == "you said hello"

        def test_refused(quant):
            quant.chat("hello", thinking=True)

        def test_failed(quant):
            assert quant.chat("hello").text == "no"

        def test_broken(quant):
            quant.chat("break")
        """
    )

    def breaking(prompt: str) -> Says:
        if prompt == "break":
            fake.fault = Fault("error", body={"error": {"message": f"{CANARY} is out of credit"}})
        return script(prompt)

    fake = OpenAi(breaking, key=CANARY)
    with fake.running() as url:
        result = pytester.runpytest(
            f"--quant-model={url}", f"--quant-baseline={url}#tiny", "--quant-report=r.json", "--quant-summary=s.md",
            "--junit-xml=j.xml", "-p", "no:randomly", "--log-level=DEBUG", "-rA",
        )  # fmt: skip

    report: dict[str, Any] = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    assert {pair["verdict"]["word"] for pair in report["pairs"]} >= {"held", "inherited"}
    assert "Traceback" not in result.stdout.str()
    assert CANARY not in result.stdout.str() + result.stderr.str() + caplog.text
    for path in pytester.path.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path


def test_a_server_that_does_not_answer_ends_the_run_with_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(quant):\n    pass\n")

    result = pytester.runpytest(f"--quant-model=http://127.0.0.1:{free_port()}#m")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --quant-model: http://127.0.0.1:*#m: no server answers there (*refused)"])


def test_without_httpx_it_says_how_to_get_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(EngineRefused, match=r"need the package httpx: pip install 'pytest-quantcheck\[server\]'"):
        ServerEngine(Address("http://127.0.0.1:1"), LoadSettings()).card()
