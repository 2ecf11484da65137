"""quant_early_stop on real models: fewer tokens, the same scores; kept answers stay what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.engines.process import ProcessEngine
from pytest_quantcheck.records import Status
from pytest_quantcheck.stop_rules import Fact
from tests.real.test_tiny_suite import SUITE
from tests.real.test_tiny_suite import compare

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

UNMARK = """
def pytest_itemcollected(item):
    item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "quant_early_stop"]
"""


def test_the_tiny_suite_takes_fewer_tokens_and_scores_the_same(pytester: pytest.Pytester, tmp_path: Path) -> None:
    def pairs(*args: str) -> dict[str, dict[str, Any]]:
        some = "test_extract and not forced and (1 or 3)"  # two of them are broken by the damaged model
        report = compare(pytester, "tiny-q4_0.gguf", "tiny-f16.gguf", "-k", some, *args).report
        return {pair["pair"]: pair for pair in report["pairs"]}

    pytester.makepyfile(unmark=UNMARK)
    pytester.syspathinsert()
    early = pairs(f"--quant-cache={tmp_path}")
    again = pairs(f"--quant-cache={tmp_path}")
    whole = pairs("-p", "unmark")

    ended = set()
    for name, pair in whole.items():
        for role in ("baseline", "candidate"):
            scores = [[(one["check"], one["value"]) for one in found[name][role]["scores"]] for found in (early, whole)]
            assert scores[0] == scores[1]
            [short], [kept], [long] = (found[name][role]["replies"] for found in (early, again, whole))
            assert long["raw"].startswith(short["raw"])
            assert (short["finish"] == "early") == (short["raw"] != long["raw"]) == (short["spared"] > 0)
            assert kept == short | {"cached": True}
            ended.add((role, short["finish"]))
        assert early[name]["verdict"]["word"] == pair["verdict"]["word"]
    assert ended == {("baseline", "stop"), ("candidate", "stop"), ("candidate", "early")}


def test_raw_text_ends_with_the_token_that_decides() -> None:
    engine = ProcessEngine(SUITE / "models" / "tiny-f16.gguf", LoadSettings(), timeout=60)
    stop = ((Fact("tokens", "visible", 5),),)
    prompt = "<|im_start|>user\nWrite exactly 8 words about the cat.<|im_end|>\n<|im_start|>assistant\n"
    try:
        whole = engine.complete(CompletionRequest(prompt, Generation(max_tokens=24)))
        cut = engine.complete(CompletionRequest(prompt, Generation(max_tokens=24, stop=stop)))
    finally:
        engine.close()

    assert (cut.finish, cut.status, cut.usage.total, cut.spared) == ("early", Status.OK, 6, 18)
    assert whole.raw.startswith(cut.raw)
    assert len(whole.raw) > len(cut.raw)
