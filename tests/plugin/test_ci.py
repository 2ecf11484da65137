"""What a CI system reads of a run: JUnit XML, Markdown, annotations, the last line. docs/how-to/ci.md tells of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from pytest_quantcheck.reports import json_report
from pytest_quantcheck.reports.last_line import PREFIX
from tests.plugin.conftest import DIED
from tests.plugin.conftest import Gate
from tests.plugin.conftest import Outcome

SUITE = """
import pytest

@pytest.mark.quant_json(keys=["a"], min_score=0.5)
def test_json(quant):
    quant.chat("json?")

def test_plain(quant):
    assert quant.chat("plain?").text == "yes"

def test_of_no_model():
    pass
"""
OLD = {"json?": '<think>one two</think>{"a": 1}', "plain?": "yes"}
NEW = {"json?": '<think>one two three four</think>```json\n{"a": 1}\n```', "plain?": "yes"}
SPY = """
def pytest_runtest_logreport(report):
    with open(HERE / "properties.txt", "a") as file:
        for name, value in report.user_properties:
            print(report.when, name, len(str(value)), file=file)
"""
HOSTILE = "\x1b]0;owned\x07\x00\x85\u2028 ]]> <b>&amp; | ``` </details>\n::error::x\n"


def properties(element: ElementTree.Element | None) -> dict[str | None, str | None]:
    """Of one element, each once."""
    assert element is not None
    found = [(one.get("name"), one.get("value")) for one in element.findall("properties/property")]
    assert len(found) == len(dict(found))
    return dict(found)


def junit(path: Path) -> tuple[dict[str | None, str | None], dict[str | None, ElementTree.Element]]:
    """(properties of the suite, cases by name)."""
    root = ElementTree.parse(path).getroot()
    return properties(root.find("testsuite")), {case.get("name"): case for case in root.iter("testcase")}


def last_line(outcome: Outcome) -> dict[str, Any]:
    [line] = [line for line in outcome.result.outlines if PREFIX in line]
    assert line == [line for line in outcome.result.outlines if line][-1]
    said: dict[str, Any] = json.loads(line.removeprefix(PREFIX))
    return said


# --- JUnit XML ---


def test_junit_has_readable_words_for_each_test(suite: Gate) -> None:
    path = suite.pytester.path / "junit.xml"

    outcome = suite.run(f"--junitxml={path}")

    of_suite, cases = junit(path)
    assert of_suite == {
        "quant_kind": "regression",
        "quant_sentence": outcome.report["verdict"]["sentence"],
        "quant_baseline": "old",
        "quant_candidate": "new",
    }
    why = outcome.report["pairs"][[*outcome.words].index("test_json")]["verdict"]["why"]
    assert properties(cases["test_json[candidate]"]) == {
        "quant_role": "candidate",
        "quant_verdict": "regressed",
        "quant_why": why,
        "quant_score": "json=0.5",
        "quant_tokens": "10",
        "quant_thinking_tokens": "6",
    }
    assert properties(cases["test_json[baseline]"]) == {
        "quant_role": "baseline",
        "quant_score": "json=1",
        "quant_tokens": "6",
        "quant_thinking_tokens": "4",
    }
    assert properties(cases["test_plain[candidate]"]) == {
        "quant_role": "candidate",
        "quant_verdict": "held",
        "quant_score": "assertions=1",
        "quant_tokens": "1",
        "quant_thinking_tokens": "0",
    }
    assert properties(cases["test_of_no_model"]) == {}
    assert cases["test_json[candidate]"].find("failure") is not None
    assert cases["test_json[baseline]"].find("failure") is None


def test_the_record_of_a_test_is_no_property(suite: Gate) -> None:
    """Whatever writes properties down (JUnit XML, other plugins' reports) must not get a whole record as one value."""
    with (suite.pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(SPY)
    suite.answers({**OLD, "plain?": "yes " * 5000}, NEW)

    suite.run()

    lines = (suite.pytester.path / "properties.txt").read_text(encoding="ascii").splitlines()
    seen = [line.split() for line in lines]
    assert {when for when, _, _ in seen} == {"call", "teardown"}
    assert all(name.startswith("quant_") and int(size) <= 310 for _, name, size in seen)


def test_a_user_s_own_properties_are_kept(plain_gate: Gate) -> None:
    path = plain_gate.pytester.path / "junit.xml"
    plain_gate.pytester.makepyfile(
        "def test_it(quant, record_property):\n    record_property('mine', 1)\n    quant.chat('x')\n"
    )
    plain_gate.answers({"x": "a"}, {"x": "a"})

    plain_gate.run(f"--junitxml={path}", "-o", "junit_family=xunit1")

    assert properties(junit(path)[1]["test_it[candidate]"])["mine"] == "1"


def test_without_junit_nothing_is_missing(suite: Gate) -> None:
    assert suite.run("-p", "no:junitxml").kind == "regression"


def test_junit_of_hostile_answers_is_xml(gate: Gate) -> None:
    path = gate.pytester.path / "junit.xml"
    gate.pytester.makepyfile(
        """
        import json
        import pytest

        def value(reply):
            return json.loads(reply.text)["a"]

        def test_text(quant):
            assert quant.chat("text").text == "fine"

        def test_message(quant):
            said = value(quant.chat("json"))
            assert said == "fine", said

        def test_both(quant):
            assert False, value(quant.chat("both"))

        @pytest.mark.quant_recall(expect=["fine"])
        def test_recall(quant):
            print(quant.chat("text").text)
        """
    )
    lone = json.dumps({"a": f"{HOSTILE}\ud800"})
    gate.answers({"text": "fine", "json": '{"a": "fine"}', "both": lone}, {"text": HOSTILE, "json": lone, "both": lone})

    outcome = gate.run(f"--junitxml={path}", "-o", "junit_logging=all")

    _, cases = junit(path)
    assert len(cases) == 8
    assert outcome.words == {
        **dict.fromkeys(("test_text", "test_message", "test_recall"), "regressed"),
        "test_both": "inherited",
    }
    for name in ("test_message[candidate]", "test_both[candidate]"):
        why = properties(cases[name])["quant_why"]
        assert why is not None
        assert "\\x1b]0;owned\\x07\\x00" in why
        assert "\\ud800" in why


def test_half_a_surrogate_pair_costs_no_test(gate: Gate) -> None:
    """pytest-xdist cannot send one, and would give up the worker with all tests that were left to it."""
    gate.pytester.makepyfile(
        """
        import json, logging, pytest

        def test_message(quant):
            said = json.loads(quant.chat("x").text)["a"]
            assert said == "fine", said

        def test_log(quant):
            logging.getLogger().warning(json.loads(quant.chat("x").text)["a"])
            raise NameError

        def test_skip(quant):
            pytest.skip(json.loads(quant.chat("x").text)["a"])

        def test_left(quant):
            pass
        """
    )
    gate.answers({}, {"x": json.dumps({"a": "\ud800"})})

    # in a process of its own: the run around it would catch the same log record
    outcome = gate.run("-rA", baseline=False, subprocess=True)

    outcome.result.assert_outcomes(passed=1, failed=2, skipped=1)
    outcome.result.stdout.fnmatch_lines(["*AssertionError: \\ud800*"])


def test_a_worker_that_gives_up_is_no_success(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from pytest_quantcheck import ScriptedEngine

        def pytest_quantcheck_engine(source):
            return ScriptedEngine(str, name=source)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item):
            report = yield
            if item.name == "test_b" and report.when == "call":
                report.user_properties.append(("x", "\\ud800"))
            return report
        """
    )
    pytester.makepyfile("def test_a(quant):\n    pass\ndef test_b(quant):\n    pass\n")

    # one worker and no shuffling: what the first test said is there before the second one ends the worker
    result = pytester.runpytest("-p", "no:randomly", "-n1", "--quant-model=m")

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        ["quantcheck: an internal error stopped a process; *", f'{PREFIX}{{"kind":"no-loss","exit":3,*']
    )


# --- Markdown ---


def test_the_summary_as_markdown(suite: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    here = suite.pytester.path
    step = here / "step.md"
    step.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))

    outcome = suite.run(f"--quant-summary={here / 'deep' / 's.md'}")

    text = (here / "deep" / "s.md").read_text(encoding="utf-8")
    assert text.startswith("## ❌ REGRESSION: 1 requirement lost ")
    assert text.count("<details>") == 1
    assert "regressed: <code>test_it.py::test_json</code>" in text
    assert step.read_text(encoding="utf-8") == f"before\n{text}\n"
    assert outcome.result.ret == 1


def test_a_summary_that_cannot_be_written_is_no_success(plain_suite: Gate) -> None:
    plain_suite.answers(OLD, OLD)
    (plain_suite.pytester.path / "file").write_text("", encoding="ascii")

    outcome = plain_suite.run("--quant-summary=file/s.md")

    assert outcome.result.ret == 1
    outcome.result.stdout.fnmatch_lines(["quantcheck: --quant-summary: file/s.md could not be written: *"])
    assert last_line(outcome)["exit"] == 1


def test_a_job_s_page_that_cannot_be_written_fails_nothing(
    plain_suite: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain_suite.answers(OLD, OLD)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))

    outcome = plain_suite.run()

    assert outcome.result.ret == 0
    outcome.result.stdout.fnmatch_lines([f"quantcheck: GITHUB_STEP_SUMMARY: {tmp_path} could not be written: *"])


def test_a_refused_file_has_its_reports_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)

    result = pytester.runpytest("--quant-model=no.gguf", "--quant-report=r.json", "--quant-summary=s.md")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    report = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    assert (report["kind"], report["exit_status"], report["verdict"]) == ("refused", 4, None)
    assert "no.gguf" in (pytester.path / "s.md").read_text(encoding="utf-8")
    assert last_line(Outcome(result, report)) == {
        "kind": "refused",
        "exit": 4,
        **dict.fromkeys(("pairs", "requirements_lost", "requirements_gained"), 0),
        **dict.fromkeys(("samples_scored", "samples_lost", "samples_won"), 0),
        **dict.fromkeys(("points", "low", "high"), None),
        "unfair": [],
        "candidate": None,
    }


# --- the JSON report ---


def test_reports_of_real_runs_meet_the_schema(plain_gate: Gate) -> None:
    schema = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    plain_gate.pytester.makepyfile(
        test_it=SUITE
        + """
@pytest.mark.quant_speed(decode=40)
def test_fast(quant):
    pass

@pytest.mark.quant_sample
@pytest.mark.parametrize("case", range(6))
def test_sum(quant, case):
    assert quant.chat("plain?").text == "yes"
"""
    )
    plain_gate.answers(OLD, NEW)
    kinds = []

    for options in (["-k", "json"], ["-k", "sum"], ["-k", "plain"], ["-k", "fast"], ["-k", "baseline and plain"]):
        kinds.append(plain_gate.run(*options))
    kinds.append(plain_gate.run(baseline=False))
    kinds.append(
        plain_gate.run("-k", "plain", "--quant-thinking=on", "--quant-allow=silent thinking", "--quant-loop=off")
    )
    plain_gate.answers(OLD, {**NEW, "plain?": DIED})
    kinds.append(plain_gate.run())
    for outcome in kinds:
        jsonschema.validate(outcome.report, schema, jsonschema.Draft202012Validator)
    assert [outcome.report["kind"] for outcome in kinds[:5]] == [
        *("regression", "cannot-tell", "no-loss", "no-loss", "nothing-compared"),
    ]


# --- annotations ---


def commands(outcome: Outcome) -> list[str]:
    return [line for line in outcome.result.outlines if line.startswith("::")]


def test_annotations_on_github(suite: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(suite.pytester.path.parent))

    error, notice = commands(suite.run())

    folder = suite.pytester.path.name
    assert error.startswith(
        f"::error file={folder}/test_it.py,line=3,title=regressed%3A test_json[candidate]::REGRESSED:"
    )
    assert notice.startswith("::notice title=quantcheck%3A regression::REGRESSION: 1 requirement lost")


def test_no_annotations_elsewhere(plain_suite: Gate) -> None:
    assert commands(plain_suite.run()) == []


def test_a_model_gives_no_commands_to_github(plain_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    plain_gate.pytester.makepyfile("def test_it(quant):\n    assert quant.chat('x').text == 'fine'\n")
    plain_gate.answers({"x": "fine"}, {"x": f"{HOSTILE}\r::error::x"})

    outcome = plain_gate.run()

    assert [line.split(" ")[0] for line in commands(outcome)] == ["::error", "::notice"]


# --- the last line ---


@pytest.mark.parametrize("options", [[], ["-q"], ["-qq"], ["-v"], ["--no-summary"], ["--color=yes"], ["-rA"]])
def test_the_last_line_is_one_line_of_json(plain_suite: Gate, options: list[str]) -> None:
    outcome = plain_suite.run(*options)

    assert last_line(outcome) == {
        "kind": "regression",
        "exit": 1,
        "pairs": 2,
        "requirements_lost": 1,
        "requirements_gained": 0,
        **dict.fromkeys(("samples_scored", "samples_lost", "samples_won"), 0),
        **dict.fromkeys(("points", "low", "high"), None),
        "unfair": [],
        "baseline": "old",
        "candidate": "new",
    }


def test_the_last_line_is_printed_once_with_the_exit_status(suite: Gate) -> None:
    outcome = suite.run()

    assert last_line(outcome)["exit"] == outcome.result.ret == 1
    suite.answers(OLD, OLD)
    outcome = suite.run()
    assert last_line(outcome)["exit"] == outcome.result.ret == 0


def test_the_last_line_of_a_run_without_a_test(suite: Gate) -> None:
    outcome = suite.run("-k", "nothing_of_that_name")

    said = last_line(outcome)
    assert (said["kind"], said["exit"]) == ("nothing-compared", outcome.result.ret)
    assert outcome.result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_the_last_line_of_a_wrong_marker(gate: Gate) -> None:
    gate.pytester.makepyfile("import pytest\n@pytest.mark.quant_json(kyes=[])\ndef test_it(quant):\n    pass\n")
    gate.answers({}, {})

    outcome = gate.run()

    assert outcome.result.ret == pytest.ExitCode.USAGE_ERROR
    said = last_line(outcome)
    assert (said["kind"], said["exit"]) == ("refused", 4)


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures"])
def test_who_only_looks_sees_no_last_line(plain_suite: Gate, option: str) -> None:
    assert PREFIX not in plain_suite.run(option).result.stdout.str()


def test_without_a_terminal_there_is_no_last_line(plain_suite: Gate) -> None:
    outcome = plain_suite.run("-p", "no:terminal")

    assert outcome.result.ret == 1
    assert PREFIX not in outcome.result.stdout.str()
