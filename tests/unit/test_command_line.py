"""The command line of a llama-server: what it tells of the conditions, and that nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.engines.server.command_line import told_by

DEFAULTS = {"kv_type": "f16", "flash_attention": "auto", "draft": "", "lora": ""}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("llama-server -m a.gguf --port 5800", {}),
        ("/opt/llama-server -ctk q8_0 -ctv q8_0", {"kv_type": "q8_0"}),
        ("/opt/llama-server --cache-type-k q8_0", {"kv_type": "q8_0/f16"}),
        ("llama-server -fa on -ngl 99", {"flash_attention": "on", "gpu_layers": "99"}),
        ("llama-server -fa --jinja", {"flash_attention": "on"}),
        ("llama-server --jinja --flash-attn", {"flash_attention": "on"}),
        ("llama-server --flash-attn=disabled", {"flash_attention": "off"}),
        ("llama-server -t 6 -ub 256 -b 1024", {"threads": 6, "batch": 256}),
        ("llama-server -t many", {}),
        ("llama-server -md '/models/a draft.gguf'", {"draft": "a draft.gguf"}),
        ("llama-server --lora-scaled /x/tuned.gguf:0.5", {"lora": "tuned.gguf"}),
        ("llama-server --control-vector-scaled /x/calm.gguf:0.5", {"lora": "calm.gguf"}),
        ("llama-server --lora a.gguf --control-vector b.gguf", {"lora": "a.gguf + b.gguf"}),
        ("llama-server -ngl -1 -fa --jinja", {"gpu_layers": "-1", "flash_attention": "on"}),
        ("llama-server --no-kv-offload", {"gpu_layers": "KV cache in main memory"}),
        ("llama-server -nkvo -ngl 99", {"gpu_layers": "99, KV cache in main memory"}),
        ("llama-server \\\n  -m a.gguf \\\n  -ctk q4_0 \\\n  -ctv q4_0\n", {"kv_type": "q4_0"}),
        ("llama-server # the old one\n -fa off", {"flash_attention": "off"}),
        (r"C:\llama\llama-server.exe -m C:\a.gguf -fa on", {"flash_attention": "on"}),
        ("docker run --rm -p 80:80 ghcr.io/x/llama-server -fa on", {"flash_attention": "on"}),
        ("llama-server -m 'it is not closed.gguf -fa on", {"flash_attention": "on"}),
    ],
)
def test_what_an_option_says_and_what_holds_without_it(command: str, told: dict[str, object]) -> None:
    assert told_by(command) == DEFAULTS | told


def test_arguments_may_come_apart() -> None:
    assert told_by(["llama-server", "-ctk", "q8_0", "-ctv", "q8_0"])["kv_type"] == "q8_0"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "vllm serve org/model",
        "start-model.sh -fa on",
        "llama-server-wrapper -fa on",
        # what it sets may overrule the options or be overruled by them
        "env LLAMA_ARG_CACHE_TYPE_K=q4_0 llama-server -fa on",
        "docker run -e LLAMA_ARG_FLASH_ATTN=off x/llama-server -fa on",
        ["env", "LLAMA_ARG_CACHE_TYPE_K=q4_0", "llama-server"],
    ],
)
def test_another_program_or_environment_tells_nothing(command: str | list[str]) -> None:
    assert told_by(command) == {}


@given(st.text(), st.lists(st.sampled_from(["-fa", "-ctk", "-t", "--lora", "on", "=", "8", "'", "\\"])))
def test_whatever_is_told_is_a_condition(text: str, words: list[str]) -> None:
    told = told_by(f"llama-server {' '.join(words)} {text}")

    assert told.items() <= Conditions().with_facts(told).to_payload().items()
