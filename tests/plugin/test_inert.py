"""A pytest run without our options notices nothing of us."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("llama_cpp", "numpy", "jsonschema", "jinja2", "gguf", "torch", "xdist.scheduler", "hypothesis")


def modules_after(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_plugin_is_free() -> None:
    loaded = modules_after("import pytest_quantcheck.plugin")

    assert not loaded & {*HEAVY, "syrupy"}


def test_a_plain_run_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import sys

        def test_nothing_of_ours():
            assert not set(sys.modules) & set({HEAVY!r})
            assert not any(name.startswith("pytest_quantcheck.engines.process") for name in sys.modules)
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:randomly", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if "quant" in line.lower()]
    assert all(line.startswith("plugins:") for line in lines), lines
    left = {
        path.name for path in pytester.path.iterdir() if not path.name.startswith(("runpytest-", "std", "__pycache__"))
    }
    assert left == {"test_a_plain_run_imports_nothing_heavy.py"}


def test_without_a_model_quant_tests_are_skipped_with_a_hint(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(quant):\n    pass\n\ndef test_other():\n    pass\n")

    result = pytester.runpytest("-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*needs --quant-model=FILE.gguf*"])


def test_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other():\n    pass\n")

    result = pytester.runpytest_subprocess("-p", "no:quantcheck")

    result.assert_outcomes(passed=1)
    assert "quant" not in result.stdout.str()


@pytest.mark.parametrize("args", [("--help",), ("--markers",), ("--fixtures",)])
def test_help_needs_no_model_and_touches_no_file(pytester: pytest.Pytester, args: tuple[str, ...]) -> None:
    result = pytester.runpytest(*args, "--quant-model=no/such/file.gguf", "--quant-report=out/report.json")

    assert result.ret == 0
    assert not (pytester.path / "out").exists()


def test_help_lists_options_markers_and_fixtures(pytester: pytest.Pytester) -> None:
    pytester.runpytest("--help").stdout.fnmatch_lines(["*--quant-model=FILE*", "*--quant-report=PATH*", "*quant_gate*"])
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.quant_json(*schema=*): *"])
    pytester.runpytest("--fixtures").stdout.fnmatch_lines(["quant*", "*Ask the model*"])
