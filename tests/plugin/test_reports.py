"""What a run leaves behind: the summary, the JSON report, JUnit properties."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from tests.plugin.conftest import Gate

SUITE = """
import pytest

@pytest.mark.quant_json(keys=["a"])
def test_json(quant):
    quant.chat("json?")

def test_plain(quant):
    assert quant.chat("plain?").text == "yes"
"""
OLD = {"json?": '<think>one two</think>{"a": 1}', "plain?": "yes"}
NEW = {"json?": '<think>one two three four</think>{"b": 1}', "plain?": "yes"}


@pytest.fixture
def suite(gate: Gate) -> Gate:
    gate.pytester.makepyfile(test_it=SUITE)
    gate.answers(OLD, NEW)
    return gate


def test_summary(suite: Gate) -> None:
    suite.run().result.stdout.fnmatch_lines(
        [
            "=* quantcheck =*",
            "* file  types *",
            "baseline * old *",
            "candidate * new *",
            "by marker *pairs *held *regressed*",
            "assertions *1 *1 *.",
            "json *1 *. *1",
            "*answers *thinking *visible *total tokens *tok/s*",
            "baseline *2 *4 *3 *7 *",
            "candidate *2 *6 *3 *9 *",
            "REGRESSION: 1 requirement lost (0 gained; chance alone: 25 %)",
            "What these tests do not ask they cannot tell. 2 samples cannot show a loss*",
            "Next: *",
        ]
    )


def test_words_and_letters(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers({**OLD, "plain?": "no"}, NEW)

    plain_gate.run("-v").result.stdout.fnmatch_lines(
        [
            "test_it.py::test_json[[]baseline[]] BASELINE *",
            "test_it.py::test_plain[[]baseline[]] WEAK BASELINE *",
            "test_it.py::test_json[[]candidate[]] REGRESSED *",
            "test_it.py::test_plain[[]candidate[]] IMPROVED *",
        ]
    )
    plain_gate.run().result.stdout.fnmatch_lines(["test_it.py bwF+ *"])


def test_summary_of_a_clean_run(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers(OLD, OLD)

    outcome = plain_gate.run()

    assert outcome.result.ret == 0
    outcome.result.stdout.fnmatch_lines(["NO LOSS: none of 2 requirements was lost"])


def test_without_a_baseline_nothing_is_called_a_comparison(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers({}, NEW)

    result = plain_gate.run(baseline=False).result

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "by marker *tests *passed *failed",
            "json *1 *0 *1",
            "FAILED: 1 test failed without a comparison",
            "Next: add --quant-baseline=*",
        ]
    )
    assert "REGRESSION" not in result.stdout.str()


def test_json_report_holds_every_raw_value(suite: Gate) -> None:
    report = suite.run().report

    assert report["version"] == 2
    assert report["kind"] == "regression"
    assert report["plugin"]["name"] == "pytest-quantcheck"
    assert report["exit_status"] == 1
    assert report["verdict"]["kind"] == "regression"
    [pair] = [pair for pair in report["pairs"] if pair["pair"].endswith("test_json")]
    assert pair["marker"] == "json"
    assert pair["verdict"]["word"] == "regressed"
    for half, answer, tokens in (("baseline", '{"a": 1}', 6), ("candidate", '{"b": 1}', 8)):
        [reply] = pair[half]["replies"]
        assert reply["text"] == answer
        assert reply["raw"] == (OLD if half == "baseline" else NEW)["json?"]
        assert reply["usage"]["total"] == reply["usage"]["thinking"] + reply["usage"]["visible"] == tokens
        assert {score["check"]: score["value"] for score in pair[half]["scores"]} == {
            "answer": 1.0,
            "assertions": 1.0,
            "json": 1.0 if half == "baseline" else 0.0,
        }
    assert report["roles"]["baseline"]["use"]["loads"] >= 1
    assert report["roles"]["candidate"]["card"]["name"] == "new"


ENDS = """
    import os
    import signal

    def test_stop(quant):
        if quant.role == "candidate":
            {end}

    def test_never(quant):
        quant.chat("json")
"""


@pytest.mark.parametrize(
    "end",
    [
        "raise KeyboardInterrupt",
        pytest.param(
            "os.kill(os.getpid(), signal.SIGTERM)", marks=pytest.mark.skipif(os.name != "posix", reason="signals")
        ),
        "pytest.exit('enough')",
    ],
)
def test_json_report_of_a_run_that_is_interrupted(plain_gate: Gate, end: str) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE + textwrap.dedent(ENDS).format(end=end))
    plain_gate.answers(OLD, NEW)

    outcome = plain_gate.run(subprocess=True)

    assert outcome.report["exit_status"] == pytest.ExitCode.INTERRUPTED
    assert outcome.words["test_json"] == "regressed"
    assert not {"test_stop", "test_never"} & set(outcome.words)


def test_a_report_that_cannot_be_written_is_no_success(plain_gate: Gate, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="ascii")
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers(OLD, OLD)

    result = plain_gate.run(f"--quant-report={blocked / 'r.json'}").result

    assert result.ret == 1
    result.stdout.fnmatch_lines(["quantcheck: --quant-report: */file/r.json could not be written: *"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_the_old_report(plain_gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers(OLD, OLD)
    path = tmp_path / "r.json"
    path.write_text('{"old": 1}', encoding="ascii")

    def full(self: Path, data: str, **__: object) -> int:
        if not self.name.endswith(".part"):
            return self.write_bytes(data.encode())
        with Path("/dev/full").open("w", encoding="ascii") as device:
            device.write("x" * 100_000)
        return 0

    gate_args = ("-p", "no:randomly", "-p", "no:cacheprovider", "--quant-model=new", "--quant-baseline=old")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        result = plain_gate.pytester.runpytest(*gate_args, f"--quant-report={path}")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*could not be written: No space left on device"])
    assert json.loads(path.read_text(encoding="ascii")) == {"old": 1}


def test_hostile_answers_reach_no_screen_and_no_report_raw(plain_gate: Gate) -> None:
    hostile = "\x1b]0;owned\x07\ud800\x00 end"
    plain_gate.pytester.makepyfile("def test_it(quant):\n    assert quant.chat('x').text == 'fine'\n")
    plain_gate.answers({"x": "fine"}, {"x": hostile})

    outcome = plain_gate.run()

    assert "\x1b]0;" not in outcome.result.stdout.str()
    assert outcome.report["pairs"][0]["candidate"]["replies"][0]["raw"] == hostile.replace("\ud800", "?")


def test_speed_floor(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.quant_speed(decode=40)
        def test_fast(quant):
            pass
        """
    )
    plain_gate.answers({"tok/s": 50.0}, {"tok/s": 30.0})

    outcome = plain_gate.run()

    assert outcome.words == {"test_fast": "regressed"}
    outcome.result.stdout.fnmatch_lines(["*REGRESSED: speed 1 -> 0 (*30*40*"])


def test_an_engine_that_cannot_skips_the_test_with_the_reason(plain_gate: Gate) -> None:
    plain_gate.pytester.makeconftest(
        "from pytest_quantcheck import ScriptedEngine\n"
        "def pytest_quantcheck_engine(source):\n    return ScriptedEngine(str, name=source)\n"
    )
    plain_gate.pytester.makepyfile(
        "import pytest\n@pytest.mark.quant_speed(decode=40)\ndef test_fast(quant):\n    pass\n"
    )

    result = plain_gate.run("-rs").result

    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*this engine cannot do it: this scripted engine has no bench_tok_s"])
