"""What a user can get wrong before the first test: one clear line and exit status 4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ggufs
from tests.plugin.conftest import Gate


def the_one_line(result: pytest.RunResult) -> str:
    """The error line; there is exactly one and no traceback."""
    text = f"{result.stdout.str()}\n{result.stderr.str()}"
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    lines = [line for line in text.splitlines() if line.startswith("ERROR")]
    assert len(lines) == 1, text
    return lines[0]


WRONG_OPTIONS: list[tuple[list[str], str]] = [
    (["--quant-baseline=a.gguf"], "--quant-baseline needs --quant-model*"),
    (["--quant-model="], "--quant-model: '' is not a GGUF file or the address of a server"),
    (["--quant-model=a.gguf", "--quant-ctx=many"], "--quant-ctx: 'many' is not a whole number of tokens"),
    (["--quant-model=a.gguf", "--quant-ctx=0"], "--quant-ctx: '0' is not a whole number of tokens"),
    (["--quant-model=a.gguf", "--quant-max-tokens=-5"], "--quant-max-tokens: '-5' is not *"),
    (["--quant-model=a.gguf", "--quant-gpu-layers=some"], "--quant-gpu-layers: 'some' is not * 'all'"),
    (["--quant-model=a.gguf", "--quant-kv-type=q3"], "--quant-kv-type: 'q3' is not one of f32, f16, *"),
    (["--quant-model=a.gguf", "--quant-timeout=nan"], "--quant-timeout: 'nan' is not a number of seconds"),
    (["--quant-model=a.gguf", "--quant-threads=0"], "--quant-threads: '0' is not a number of threads"),
    (["--quant-model=a.gguf", "--quant-gate=none"], "--quant-gate: 'none' is not 'each' or 'session'"),
    (["--quant-model=a.gguf", "--quant-report=r.txt"], "--quant-report: 'r.txt' is not a path that ends in .json"),
    (["--quant-model=a.gguf", "--quant-seed=1.5"], "--quant-seed: '1.5' is not a whole number from 0"),
    (["--quant-model=no/such.gguf"], "--quant-model: *no/such.gguf: does not exist"),
    (["--quant-model=.", "--quant-gate=each"], "--quant-model: *: is a directory*"),
]


@pytest.mark.parametrize(("args", "line"), WRONG_OPTIONS)
def test_wrong_options(pytester: pytest.Pytester, args: list[str], line: str) -> None:
    check_options(pytester, args, line)


@pytest.mark.parametrize(("args", "line"), [WRONG_OPTIONS[0], WRONG_OPTIONS[-2]])
def test_wrong_options_with_workers(pytester: pytest.Pytester, args: list[str], line: str) -> None:
    check_options(pytester, [*args, "-n2"], line)


def check_options(pytester: pytest.Pytester, args: list[str], line: str) -> None:
    pytester.makepyfile("def test_it(quant):\n    pass\n")

    result = pytester.runpytest(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    pytest.LineMatcher([the_one_line(result)]).fnmatch_lines([f"ERROR: {line}"])


@pytest.mark.parametrize("how", ["truncated", "random bytes", "wrong magic", "no bytes", "an mmproj"])
@pytest.mark.parametrize("option", ["model", "baseline"])
def test_files_that_are_no_models(pytester: pytest.Pytester, tmp_path: Path, how: str, option: str) -> None:
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    ggufs.write_random_llama(good)
    if how == "truncated":
        ggufs.write_random_llama(bad)
        ggufs.truncate(bad, 0.5)
    elif how == "an mmproj":
        ggufs.write_random_mmproj(bad)
    else:
        contents = {"random bytes": bytes(range(256)) * 9, "wrong magic": b"GGML" + bytes(900), "no bytes": b""}
        bad.write_bytes(contents[how])
    model, baseline = (bad, good) if option == "model" else (good, bad)
    pytester.makepyfile("def test_it(quant):\n    pass\n")

    result = pytester.runpytest(
        f"--quant-model={model}", f"--quant-baseline={baseline}", f"--quant-report={tmp_path / 'r.json'}"
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = {
        "truncated": "truncated",
        "random bytes": "not a GGUF",
        "wrong magic": "not a GGUF",
        "no bytes": "empty",
        "an mmproj": "mmproj",
    }[how]
    assert f"ERROR: --quant-{option}: {bad}: " in the_one_line(result)
    assert words in the_one_line(result)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exit_status"] == 4
    assert words in report["refusal"]


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        ("quant_json(schmea='x')", "quant_json(schmea=...): unknown keyword 'schmea'; allowed: *schema*"),
        ("quant_json('x.json')", "quant_json(): positional argument 'x.json'; allowed: *"),
        ("quant_json(schema='missing.json')", "quant_json(schema=...): *missing.json*"),
        ("quant_json(schema='broken.json')", "quant_json(schema=...): *broken.json*"),
        ("quant_json(schema='invalid.json')", "quant_json(schema=...): *invalid.json*"),
        ("quant_recall()", "quant_recall(): keyword 'expect' is missing*"),
        ("quant_tolerance(jsn=0.1)", "quant_tolerance(jsn=...): unknown keyword 'jsn'*"),
        ("quant_sample(famly='x')", "quant_sample(famly=...): unknown keyword 'famly'*"),
        ("quant_constraint(words=5, min_words=7)", "quant_constraint(words=..., min_words=...): *"),
    ],
)
def test_wrong_markers(plain_gate: Gate, mark: str, line: str) -> None:
    check_marker(plain_gate, mark, line)


def test_wrong_markers_in_workers(gate: Gate) -> None:
    check_marker(gate, "quant_json(schmea='x')", "quant_json(schmea=...): unknown keyword 'schmea'; allowed: *schema*")


def check_marker(gate: Gate, mark: str, line: str) -> None:
    (gate.pytester.path / "broken.json").write_text("{", encoding="ascii")
    (gate.pytester.path / "invalid.json").write_text('{"type": "objekt"}', encoding="ascii")
    gate.pytester.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.{mark}\ndef test_it(quant):\n    quant.chat('x')\n\ndef test_other():\n"
        "    pass\n"
    )
    gate.answers({"x": "y"}, {"x": "y"})

    result = gate.run().result

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    pytest.LineMatcher([the_one_line(result)]).fnmatch_lines([f"ERROR: test_it.py::test_it*: {line}"])
    assert not gate.log("loads")


def test_a_wrong_marker_without_a_model_is_still_wrong(pytester: pytest.Pytester, dist_args: tuple[str, ...]) -> None:
    pytester.makepyfile("import pytest\n\n@pytest.mark.quant_json(schmea='x')\ndef test_it(quant):\n    pass\n")

    result = pytester.runpytest(*dist_args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "unknown keyword 'schmea'" in the_one_line(result)


def test_asking_for_the_fixture_too_late(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile("def test_it(request):\n    request.getfixturevalue('quant')\n")
    plain_gate.answers({}, {})

    result = plain_gate.run().result

    result.stdout.fnmatch_lines(["*name the quant fixture in the test's signature*"])
    assert result.ret == 1
