"""A recorded baseline: --snapshot-update records it, a run with the candidate alone compares with it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck import snapshot_files
from pytest_quantcheck import snapshots
from tests.plugin.conftest import DIED
from tests.plugin.conftest import Gate
from tests.plugin.conftest import Outcome

SUITE = """
import pytest

@pytest.mark.quant_json(keys=["a"])
def test_json(quant):
    quant.chat("json?")

@pytest.mark.parametrize("country", ["Peru", "a/b", "peru"])
def test_capital(quant, country):
    assert quant.chat(country).text in ("Lima", "Rome")

class TestBudget:
    @pytest.mark.quant_budget(vs_baseline=1.5)
    def test_short(self, quant):
        quant.chat("short?")

@pytest.mark.quant_sample(family="sums")
@pytest.mark.parametrize("number", range(6))
def test_sum(quant, number):
    assert quant.chat(f"sum {number}").text == str(number)

def test_of_no_model():
    pass
"""
SUMS = {f"sum {number}": str(number) for number in range(6)}
OLD = {"json?": '<think>hm</think>{"a":\n 1}', "Peru": "Lima", "a/b": "Rome", "peru": "dunno", "short?": "yes", **SUMS}
NEW = {
    **OLD,
    "Peru": "Quito",
    "a/b": "Lima",
    "short?": "yes and no and yes",
    **{f"sum {number}": "7" for number in range(5)},
}
FACTS = """
import os
_make = pytest_quantcheck_engine
def pytest_quantcheck_engine(role, source):
    engine = _make(role, source)
    engine.facts = json.loads((HERE / "facts.json").read_text())
    return engine
"""

CONTEXT = """
from dataclasses import replace
_make = pytest_quantcheck_engine
def pytest_quantcheck_engine(role, source):
    engine = _make(role, source)
    card = replace(engine.card(), context_length=131072)
    engine.card = lambda: card
    return engine
"""


def record(gate: Gate, *args: str) -> Outcome:
    return gate.run("--quant-model=old", "--snapshot-update", *args, baseline=False)


def check(gate: Gate, *args: str) -> Outcome:
    return gate.run(*args, baseline=False)


def folder(gate: Gate) -> Path:
    return gate.pytester.path / "quant_snapshots"


def files(gate: Gate) -> dict[str, str]:
    """Every recorded file by its path."""
    found = sorted(path for path in folder(gate).rglob("*") if path.is_file())
    return {path.relative_to(folder(gate)).as_posix(): path.read_text(encoding="utf-8") for path in found}


def whys(outcome: Outcome) -> dict[str, str]:
    """Test name -> why, without addresses of objects."""
    found = {pair["pair"].split("::")[-1]: pair["verdict"]["why"] for pair in outcome.report["pairs"]}
    return {name: re.sub(" at 0x[0-9a-f]+", "", why) for name, why in found.items()}


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside a worker of these tests' own run would be a worker for syrupy, by the environment."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


def one_test(gate: Gate, body: str, old: str = "yes", new: str = "yes") -> None:
    """A suite of one test that asks 'x'."""
    gate.pytester.makepyfile(test_it=body)
    gate.answers({"x": old}, {"x": new})


PLAIN = "def test_it(quant):\n    assert quant.chat('x').text == 'yes'\n"


# --- recording and checking ---


def test_a_recorded_baseline_judges_like_a_live_one(suite: Gate) -> None:
    live = suite.run()
    recorded = record(suite)
    suite.log("loads")
    checked = check(suite)

    assert recorded.kind == "recorded"
    assert recorded.result.ret == 0
    recorded.result.assert_outcomes(passed=12)
    recorded.result.stdout.fnmatch_lines(["RECORDED: the answers of 11 tests; 1 of them fails on this file; *"])
    recorded.result.stdout.fnmatch_lines(["11 snapshots generated."])
    assert checked.words == live.words
    assert checked.words["test_capital[peru]"] == "inherited"
    assert whys(checked) == whys(live)
    assert checked.report["verdict"]["samples"] == live.report["verdict"]["samples"]
    assert checked.kind == live.kind == "regression"
    assert checked.result.ret == 1
    assert {source for _, source in suite.log("loads")} == {"new"}
    assert checked.report["roles"]["baseline"]["card"]["name"] == "old"


def test_checking_and_recording_again_change_nothing(plain_suite: Gate) -> None:
    record(plain_suite)
    first = files(plain_suite)

    check(plain_suite)
    record(plain_suite)

    assert files(plain_suite) == first


def test_the_files_can_be_read_by_people(plain_suite: Gate) -> None:
    record(plain_suite)

    found = files(plain_suite)
    assert sorted(found) == sorted(
        [
            "baseline.json",
            "test_it/TestBudget.test_short.cd0f6037.json",
            "test_it/test_capital[Peru].a84eec23.json",
            "test_it/test_capital[a-b].d675bd47.json",
            "test_it/test_capital[peru].json",
            "test_it/test_json.json",
            *(f"test_it/test_sum[{number}].json" for number in range(6)),
        ]
    )
    text = found["test_it/test_json.json"]
    assert '        "{\\"a\\":",\n        " 1}"\n' in text
    seen = json.loads(text)
    assert text == json.dumps(seen, indent=2, sort_keys=True) + "\n"
    assert seen["test"] == "test_it.py::test_json"
    assert seen["status"] == "ok"
    assert [(score["check"], score["value"]) for score in seen["scores"]] == [
        *(("answer", 1.0), ("assertions", 1.0), ("json", 1.0))
    ]
    tokens = {"prompt": 1, "thinking": 3, "visible": 2, "total": 5, "tool_calls": 0, "source": "estimated"}
    assert seen["answers"][0]["tokens"] == tokens
    everything = "".join(found.values())
    assert '"timings"' not in everything
    assert "hm" not in everything
    assert str(plain_suite.pytester.path) not in everything


def test_a_speed_is_not_recorded_and_is_held_to_its_own_floor(plain_gate: Gate) -> None:
    marks = "@pytest.mark.quant_speed(decode=30)\n@pytest.mark.quant_budget(wall_s=100, total_tokens=5)\n"
    plain_gate.pytester.makepyfile(test_it=f"import pytest\n{marks}{PLAIN}")
    plain_gate.answers({"x": "yes", "tok/s": 50}, {"x": "yes", "tok/s": 40})
    record(plain_gate)

    assert "tok/s" not in "".join(files(plain_gate).values())
    held = check(plain_gate)
    assert (held.words, held.kind) == ({"test_it": "held"}, "no-loss")
    plain_gate.answers({}, {"x": "yes", "tok/s": 20})
    slow = check(plain_gate)
    assert (slow.words, slow.kind) == ({"test_it": "unpaired"}, "failed")
    assert "misses 30" in whys(slow)["test_it"]


def test_another_machine_may_judge_its_own_speed(plain_gate: Gate) -> None:
    with (plain_gate.pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(FACTS)
    facts = plain_gate.pytester.path / "facts.json"
    marks = "import pytest\n@pytest.mark.quant_speed(decode=30)\n"
    plain_gate.pytester.makepyfile(test_it=f"{marks}def test_it(quant):\n    pass\n")
    plain_gate.answers({"tok/s": 50}, {"tok/s": 40})
    facts.write_text('{"build": "b1", "system": "AVX2 = 1"}', encoding="ascii")
    record(plain_gate)
    facts.write_text('{"build": "b1", "system": "NEON = 1"}', encoding="ascii")

    assert check(plain_gate).kind == "no-loss"


def test_a_part_of_the_tests_runs_in_the_context_of_all(plain_gate: Gate) -> None:
    with (plain_gate.pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(CONTEXT)
    big = PLAIN.replace("def test_it", "@pytest.mark.quant_context(tokens=50000)\ndef test_big")
    one_test(plain_gate, f"import pytest\n{PLAIN}{big}")
    record(plain_gate)

    outcome = check(plain_gate, "-k", "not test_big")

    assert (outcome.kind, outcome.words) == ("no-loss", {"test_it": "held"})
    contexts = {role: side["conditions"]["context"] for role, side in outcome.report["roles"].items()}
    assert contexts["baseline"] == contexts["candidate"] > 50000


def test_exact_words_only_where_they_are_asked_for(plain_gate: Gate) -> None:
    exact = PLAIN.replace("def test_it", "@pytest.mark.quant_snapshot(exact=True)\ndef test_exact")
    body = f"import pytest\n{PLAIN}{exact}".replace("text == 'yes'", "text.startswith('yes')")
    one_test(plain_gate, body, "yes, of course", "yes, but why")
    record(plain_gate)

    checked = check(plain_gate)
    live = plain_gate.run()

    assert checked.words == live.words == {"test_it": "held", "test_exact": "regressed"}
    assert whys(checked) == whys(live)
    assert whys(live)["test_exact"] == (
        "exact 1 -> 0 (the answer differs from character 6 on: 'yes, of course' -> 'yes, but why')"
    )


def test_runs_of_a_test_are_recorded(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    plain_gate.answers({"x": ["yes", "yes", "no"]}, {"x": ["yes", "no", "no"]})
    record(plain_gate, "--quant-samples=3")

    live, checked = plain_gate.run("--quant-samples=3"), check(plain_gate, "--quant-samples=3")

    assert checked.words == live.words == {"test_it": "regressed"}
    assert whys(checked) == whys(live)
    stale = check(plain_gate)
    assert stale.kind == "stale"
    assert "recorded with samples=3, now 1" in whys(stale)["test_it"]


def test_likelihoods_and_vectors_are_recorded(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.quant_choice(answer=0)
        def test_choice(quant):
            quant.choose("Peru?", ["Lima", "Quito"])

        @pytest.mark.quant_embed(cosine=0.99)
        def test_embed(quant):
            quant.embed(["a", "b"])
        """
    )
    plain_gate.answers(
        {"Peru?": [-1, -2], "vectors": [[1, 0], [0, 1]]}, {"Peru?": [-2, -1], "vectors": [[1, 0], [1, 1]]}
    )
    record(plain_gate)

    live, checked = plain_gate.run(), check(plain_gate)

    assert checked.words == live.words == {"test_choice": "regressed", "test_embed": "regressed"}
    assert whys(checked) == whys(live)


# --- syrupy's options ---


def test_a_test_without_a_snapshot_fails(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    plain_gate.pytester.makepyfile(test_it=PLAIN + PLAIN.replace("test_it", "test_new"))

    outcome = check(plain_gate)

    assert outcome.result.ret == 1
    assert (outcome.kind, outcome.words) == ("stale", {"test_it": "held", "test_new": "unpaired"})
    outcome.result.stdout.fnmatch_lines(
        [
            "NO SNAPSHOT: no snapshot of this test is recorded (quant_snapshots/test_it/test_new.json); record it: "
            "pytest --quant-model=old --snapshot-update, with the other options of this run",
            "  the test passes by itself; nothing was compared",
            "STALE: 1 test without a recorded baseline to compare with (1 missing)",
            "1 snapshot failed. 1 snapshot passed.",
        ]
    )


def test_new_snapshots_only(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    before = files(plain_gate)["test_it/test_it.json"]
    plain_gate.pytester.makepyfile(test_it=PLAIN + PLAIN.replace("test_it", "test_new"))
    plain_gate.answers({"x": "no"}, {"x": "yes"})

    outcome = plain_gate.run("--quant-model=old", "--snapshot-update-new-only", baseline=False)

    assert outcome.result.ret == 0
    assert files(plain_gate)["test_it/test_it.json"] == before
    assert '"no"' in files(plain_gate)["test_it/test_new.json"]


def test_what_is_left_over_is_said_and_deleted(gate: Gate, dist_args: tuple[str, ...]) -> None:
    one_test(gate, PLAIN + PLAIN.replace("test_it", "test_gone"))
    gate.pytester.makepyfile(test_module_gone=PLAIN)
    record(gate)
    one_test(gate, PLAIN)
    (gate.pytester.path / "test_module_gone.py").unlink()

    unused = check(gate)
    assert unused.result.ret == 1
    assert unused.kind == "no-loss"
    unused.result.stdout.fnmatch_lines(["1 snapshot passed. 2 snapshots unused.", "*--snapshot-update to delete*"])
    if dist_args != ("-n2",):  # workers take their time, and these are syrupy's own
        assert check(gate, "--snapshot-warn-unused").result.ret == 0
        assert check(gate, "test_it.py::test_it").result.ret == 0
    record(gate)
    assert sorted(files(gate)) == ["baseline.json", "test_it/test_it.json"]


def test_a_part_of_the_tests_leaves_the_others_alone(plain_gate: Gate) -> None:
    skipped = "import pytest\ndef test_skipped(quant):\n    quant.chat('x')\n    pytest.skip('not today')\n"
    test_of_parameter = "@pytest.mark.parametrize('p', ['A', 'b'])\ndef test_p(quant, p):\n    quant.chat('x')\n"
    folder_of_tests = plain_gate.pytester.mkdir("deep")
    body = f"import pytest\n{PLAIN}{test_of_parameter}"
    (folder_of_tests / "test_a.py").write_text(body + skipped.replace("    pytest.skip('not today')\n", ""))
    (folder_of_tests / "test_b.py").write_text(PLAIN)
    plain_gate.answers({"x": "yes"}, {"x": "yes"})
    record(plain_gate)
    before = files(plain_gate)
    assert sorted(before) == [
        "baseline.json",
        *(f"deep/test_a/test_{name}.json" for name in ("it", "p[A].029a7b42", "p[b]", "skipped")),
        "deep/test_b/test_it.json",
    ]
    (folder_of_tests / "test_a.py").write_text(body + skipped)

    for args in (
        ("deep/test_a.py::test_it",),
        ("deep/test_a.py",),
        ("--ignore=deep/test_b.py",),
        ("-k", "b"),
        ("-k", "not b"),
        ("deep",),
    ):
        assert check(plain_gate, *args).result.ret == 0, args
        assert record(plain_gate, *args).result.ret == 0, args
        assert files(plain_gate).keys() == before.keys(), args


def test_ordinary_snapshots_of_the_same_suite_stay_apart(plain_gate: Gate) -> None:
    one_test(plain_gate, f"{PLAIN}def test_syrupy(snapshot):\n    assert {{'a': 1}} == snapshot\n")
    assert record(plain_gate).result.ret == 0

    assert check(plain_gate).result.ret == 0
    assert plain_gate.run().result.ret == 0
    assert plain_gate.pytester.runpytest("-p", "no:randomly").ret == 0
    assert sorted(files(plain_gate)) == ["baseline.json", "test_it/test_it.json"]
    assert (plain_gate.pytester.path / "__snapshots__" / "test_it.ambr").exists()


def test_without_syrupy_s_plugin_a_recorded_baseline_still_counts(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN, new="no")
    record(plain_gate)

    assert check(plain_gate, "-p", "no:syrupy").kind == "regression"


# --- which runs use it ---


def test_a_live_baseline_goes_before_a_recorded_one(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    before = files(plain_gate)
    plain_gate.answers({"x": "no"}, {"x": "no"})

    live = plain_gate.run("--snapshot-update")

    assert live.words == {"test_it": "inherited"}
    assert files(plain_gate) == before
    live.result.stdout.fnmatch_lines(
        ["quantcheck: a recorded baseline is left as it is: --quant-baseline gives a live one"]
    )


def test_off(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN, new="no")
    record(plain_gate)

    alone = check(plain_gate, "--quant-snapshots=off")

    assert (alone.kind, alone.words) == ("failed", {"test_it": "unpaired"})
    assert "record" not in check(plain_gate, "--quant-snapshots=off", "--snapshot-update").result.stdout.str()


def test_a_folder_of_one_s_own(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN, new="no")
    refused = check(plain_gate, "--quant-snapshots=kept/here")
    assert refused.result.ret == 4
    refused.result.stderr.fnmatch_lines(["ERROR: --quant-snapshots: kept/here holds no recorded baseline; *"])

    record(plain_gate, "--quant-snapshots=kept/here")

    assert not folder(plain_gate).exists()
    assert check(plain_gate).kind == "failed"
    assert check(plain_gate, "--quant-snapshots=kept/here").kind == "regression"


def test_collecting_needs_no_snapshot(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)

    assert plain_gate.run("--collect-only", "--snapshot-update", baseline=False).result.ret == 0
    assert not folder(plain_gate).exists()


# --- stale ---


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--quant-seed=1",), "recorded with seed=0, now 1"),
        (("--quant-max-tokens=64", "--quant-ctx=512"), "recorded with ctx=null, now 512; max_tokens=null, now 64"),
        (("--quant-kv-type=q8_0",), 'recorded with kv_type=["f16"], now ["q8_0"]'),
    ],
)
def test_other_settings_are_stale(plain_gate: Gate, args: tuple[str, ...], said: str) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)

    outcome = check(plain_gate, *args)

    assert (outcome.result.ret, outcome.kind, outcome.words) == (1, "stale", {"test_it": "unpaired"})
    outcome.result.stdout.fnmatch_lines([f"STALE SNAPSHOT: {said.replace('[', '[[]')}; record it: pytest*"])
    assert record(plain_gate, *args).result.ret == 0
    assert check(plain_gate, *args).kind == "no-loss"


def test_another_question_is_stale_and_another_test_is_not(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN + PLAIN.replace("test_it", "test_other"))
    record(plain_gate)
    plain_gate.pytester.makepyfile(test_it=PLAIN.replace("'x'", "'y'") + PLAIN.replace("test_it", "test_other"))
    plain_gate.answers({}, {"x": "no", "y": "yes"})

    outcome = check(plain_gate)

    assert outcome.words == {"test_it": "unpaired", "test_other": "regressed"}
    assert whys(outcome)["test_it"].startswith("question 1 is another than the recorded one; record it: pytest")
    assert outcome.kind == "regression"
    assert "1 test without a recorded baseline to compare with (1 stale)" in outcome.report["verdict"]["sentence"]


def test_a_stale_sample_fails(plain_gate: Gate) -> None:
    sample = "import pytest\n@pytest.mark.quant_sample(family='a')\n" + PLAIN
    one_test(plain_gate, sample)
    record(plain_gate)
    one_test(plain_gate, sample.replace("'x'", "'x', max_tokens=9, temperature=0.5"))

    outcome = check(plain_gate)

    outcome.result.assert_outcomes(failed=1)
    assert outcome.kind == "stale"


def test_another_check_is_stale(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    one_test(plain_gate, "import pytest\n@pytest.mark.quant_recall(expect=['yes'])\n" + PLAIN)

    assert whys(check(plain_gate))["test_it"].startswith("the test scores recall now; record it")


def test_another_build_is_stale_and_another_processor_is_unfair(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    with (plain_gate.pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(FACTS)
    facts = plain_gate.pytester.path / "facts.json"

    def says(**found: Any) -> None:
        facts.write_text(json.dumps({"build": "b1", "system": "AVX2 = 1", "threads": 3, **found}), encoding="ascii")

    says()
    record(plain_gate)
    says(threads=1, batch=64)
    assert check(plain_gate).kind == "no-loss"
    says(build="b2")
    stale = check(plain_gate)
    assert stale.kind == "stale"
    assert "recorded with b1, this is b2" in whys(stale)["test_it"]
    says(system="AVX2 = 1 | AVX512 = 1")
    unfair = check(plain_gate)
    assert (unfair.kind, unfair.result.ret) == ("unfair", 1)
    assert check(plain_gate, "--quant-allow=backend").kind == "no-loss"


# --- whose baseline it is ---


def test_another_file_is_refused(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN, new="no")
    record(plain_gate)
    before = files(plain_gate)

    refused = check(plain_gate, "--snapshot-update")

    assert refused.result.ret == 4
    assert refused.report["kind"] == "refused"
    refused.result.stderr.fnmatch_lines(
        [
            "ERROR: --quant-model: the recorded baseline is old, and new is another file; --quant-record makes it the "
            "baseline"
        ]
    )
    assert files(plain_gate) == before
    blessed = check(plain_gate, "--snapshot-update", "--quant-record")
    assert blessed.result.ret == 0
    assert json.loads(files(plain_gate)["baseline.json"])["model"]["name"] == "new"
    assert check(plain_gate).words == {"test_it": "inherited"}


def test_a_recording_that_was_interrupted_is_no_mixture(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN + PLAIN.replace("test_it", "test_other"))
    record(plain_gate)

    check(plain_gate, "--snapshot-update", "--quant-record", "-k", "test_other")

    outcome = check(plain_gate)
    assert outcome.words == {"test_it": "unpaired", "test_other": "held"}
    assert "baseline.json names new" in whys(outcome)["test_it"]


def test_quant_record_alone_is_a_mistake(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)

    for outcome in (check(plain_gate, "--quant-record"), plain_gate.run("--quant-record", "--snapshot-update")):
        assert outcome.result.ret == 4
        outcome.result.stderr.fnmatch_lines(["ERROR: --quant-record needs --snapshot-update and no --quant-baseline"])


# --- faults ---


DAMAGE: dict[str, tuple[Callable[[str], str], str]] = {
    "cut": (lambda text: text[: len(text) // 2], "it is no JSON: *"),
    "empty": (lambda text: "", "it is no JSON: *"),
    "newer": (lambda text: text.replace('"format": 1', '"format": 2'), "its format is 2; a newer version wrote it, *"),
    "renamed": (lambda text: text.replace('"status"', '"state"'), "it misses 'status'"),
    "other": (lambda text: text.replace('"answers": [', '"answers": [5, '), "it is not as it was written: *"),
    "deep": (lambda text: "[" * 100_000, "it is no JSON: *"),
    "list": (lambda text: "[]", "it is no JSON object"),
    "bytes": (lambda text: text.replace("{", "{\udcff", 1), "it is no UTF-8 text"),
}


def test_a_damaged_snapshot_is_said_and_fails(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN + "".join(PLAIN.replace("test_it", f"test_{name}") for name in DAMAGE))
    record(plain_gate)
    for name, (damage, _) in DAMAGE.items():
        path = folder(plain_gate) / "test_it" / f"test_{name}.json"
        path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8", errors="surrogateescape")

    outcome = check(plain_gate)

    assert (outcome.result.ret, outcome.kind) == (1, "stale")
    assert outcome.words == {"test_it": "held", **{f"test_{name}": "unpaired" for name in DAMAGE}}
    outcome.result.stdout.fnmatch_lines(
        [
            f"BAD SNAPSHOT: quant_snapshots/test_it/test_{name}.json cannot be read: {said}; record it: pytest*"
            for name, (_, said) in DAMAGE.items()
        ]
    )
    outcome.result.stdout.fnmatch_lines(["STALE: 8 tests without a recorded baseline to compare with (8 unreadable)"])
    record(plain_gate)
    assert check(plain_gate).kind == "no-loss"


@pytest.mark.parametrize("text", ["{", '{"format": 99}', '{"format": 1, "model": {}}'])
def test_a_damaged_baseline_is_refused(plain_gate: Gate, text: str) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    (folder(plain_gate) / "baseline.json").write_text(text, encoding="utf-8")

    for outcome in (check(plain_gate), record(plain_gate)):
        assert outcome.result.ret == 4
        outcome.result.stderr.fnmatch_lines(
            ["ERROR: *: quant_snapshots/baseline.json cannot be read: it*--quant-record writes it anew"]
        )
    assert record(plain_gate, "--quant-record").result.ret == 0
    assert check(plain_gate).kind == "no-loss"


def test_snapshots_without_their_baseline_are_refused(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    (folder(plain_gate) / "baseline.json").unlink()

    outcome = check(plain_gate)

    assert outcome.result.ret == 4
    outcome.result.stderr.fnmatch_lines(["ERROR: *: quant_snapshots/baseline.json is missing; record it:*"])


def test_a_folder_that_takes_nothing(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN)
    folder(plain_gate).mkdir()
    (folder(plain_gate) / "test_it").write_text("in the way", encoding="ascii")

    outcome = record(plain_gate)

    assert outcome.result.ret == 1
    outcome.result.stdout.fnmatch_lines(["the snapshot quant_snapshots/test_it/test_it.json could not be written: *"])
    assert list(folder(plain_gate).rglob("*.part")) == []


def test_a_full_disk_leaves_the_old_snapshots(plain_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    one_test(plain_gate, PLAIN)
    record(plain_gate)
    before = files(plain_gate)
    plain_gate.answers({"x": "no"}, {})

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    for module in (snapshots, snapshot_files):
        monkeypatch.setattr(module, "write_atomically", full)
    outcome = record(plain_gate)

    assert (outcome.result.ret, outcome.kind) == (1, "failed")
    outcome.result.stdout.fnmatch_lines(
        [
            "the snapshot quant_snapshots/test_it/test_it.json could not be written: No space left on device",
            "*--snapshot-update: quant_snapshots/baseline.json could not be written: No space left on device",
        ]
    )
    assert files(plain_gate) == before


def test_a_crash_is_no_baseline(plain_gate: Gate) -> None:
    broken = "def test_broken(quant):\n    quant.chat('y')\n    nonsense\n"
    one_test(plain_gate, PLAIN + "def test_other(quant):\n    quant.chat('y')\n")
    plain_gate.answers({"x": "yes", "y": "yes"}, {"x": "yes", "y": "yes"})
    record(plain_gate)
    before = files(plain_gate)
    plain_gate.pytester.makepyfile(test_it=PLAIN + "def test_other(quant):\n    quant.chat('y')\n" + broken)
    plain_gate.answers({"x": DIED, "y": "no"}, {})

    outcome = record(plain_gate)

    assert (outcome.result.ret, outcome.kind) == (1, "crashed")
    outcome.result.assert_outcomes(passed=1, failed=2)
    after = files(plain_gate)
    assert after.keys() == before.keys()
    assert after["test_it/test_it.json"] == before["test_it/test_it.json"]
    assert '"no"' in after["test_it/test_other.json"]


def test_a_fixture_that_fails_is_no_recording(plain_gate: Gate) -> None:
    fixture = "import pytest\n@pytest.fixture\ndef broken():\n    raise ValueError('no')\n"
    one_test(plain_gate, f"{fixture}{PLAIN}def test_broken(quant, broken):\n    pass\n")

    outcome = record(plain_gate)

    outcome.result.assert_outcomes(passed=1, errors=1)
    assert outcome.result.ret == 1
    assert sorted(files(plain_gate)) == ["baseline.json", "test_it/test_it.json"]


def test_a_candidate_that_crashes_is_not_stale(plain_gate: Gate) -> None:
    one_test(plain_gate, PLAIN, new=DIED)
    record(plain_gate)

    outcome = check(plain_gate)

    assert (outcome.kind, outcome.words) == ("crashed", {"test_it": "unscored"})


# --- the story of docs/how-to/gate-a-model-upgrade-in-ci.md ---


@pytest.mark.skipif(shutil.which("git") is None, reason="tells a story of a repository")
def test_the_story(plain_gate: Gate) -> None:
    def git(*args: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *who, *args], cwd=plain_gate.pytester.path, check=True, capture_output=True, text=True
        )
        return done.stdout

    one_test(plain_gate, PLAIN, "yes", "yes")
    (plain_gate.pytester.path / ".gitignore").write_text(
        "*.txt\nreport.json\n.pytest_cache/\n__pycache__/\nanswers.json\n", encoding="ascii"
    )
    git("init", "-q")
    assert record(plain_gate).result.ret == 0
    git("add", ".")
    git("commit", "-qm", "tests with their baseline")
    assert "quant_snapshots/test_it/test_it.json" in git("ls-files").split()

    assert check(plain_gate).result.ret == 0
    assert git("status", "--porcelain") == ""

    plain_gate.answers({"x": "yes"}, {"x": "no idea"})
    lost = check(plain_gate)
    assert lost.result.ret == 1
    lost.result.stdout.fnmatch_lines(["  baseline *", "    'yes'", "  candidate *", "    'no idea'"])
    assert git("status", "--porcelain") == ""

    assert check(plain_gate, "--snapshot-update", "--quant-record").result.ret == 0
    changed = [line for line in git("diff", "--unified=0", "quant_snapshots/test_it").splitlines() if line[0] in "+-"]
    assert '-      "text": "yes",' in changed
    assert '+      "text": "no idea",' in changed
    assert check(plain_gate).words == {"test_it": "inherited"}
