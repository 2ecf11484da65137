"""Images, projectors and drafters through whole runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import ggufs
from tests.plugin.conftest import Gate
from tests.plugin.test_usage_errors import the_one_line

SUITE = """
def test_colour(quant):
    assert quant.chat("Which?", images=["red.png"]).text == "red"

def test_parts(quant):
    content = [{"type": "text", "text": "Which?"}, {"type": "image", "path": "red.png"}]
    assert quant.chat([{"role": "user", "content": content}]).text == "red"
"""


def prompt_of(data: bytes) -> str:
    """How a scripted engine is asked about an image."""
    from pytest_quantcheck.images import said
    from pytest_quantcheck.images import whole

    return said(whole([{"content": [{"type": "image", "data": data}]}], Path())[0])


def test_both_sides_see_the_same_image_wherever_pytest_runs(gate: Gate) -> None:
    red = ggufs.png(255, 0, 0)
    folder = gate.pytester.path / "suite"
    folder.mkdir()
    (folder / "red.png").write_bytes(red)
    (folder / "test_it.py").write_text(SUITE, encoding="ascii")
    image = prompt_of(red)
    gate.answers(
        {f"{image}\nWhich?": "red", f"Which?\n{image}": "red"}, {f"{image}\nWhich?": "red", f"Which?\n{image}": "blue"}
    )

    outcome = gate.run("suite")

    assert outcome.words == {"test_colour": "held", "test_parts": "regressed"}
    assert len(gate.log("asked")) >= 4


def test_a_missing_image_is_an_error_and_no_wrong_answer(plain_gate: Gate) -> None:
    plain_gate.pytester.makepyfile(test_it="def test_it(quant):\n    quant.chat('Which?', images=['red.png'])\n")
    plain_gate.answers({}, {})

    outcome = plain_gate.run()

    assert outcome.words == {"test_it": "unscored"}
    outcome.result.stdout.fnmatch_lines(
        ["*no answer from the engine: the image '*red.png' cannot be read: No such file*"]
    )
    assert outcome.result.ret == 1


ENGINE_WITHOUT = """
from pytest_quantcheck import EngineCannot, ScriptedEngine

class Blind(ScriptedEngine):
    def chat(self, request):
        if isinstance(request.messages[-1]["content"], list):
            raise EngineCannot("this build takes no images")
        return super().chat(request)

def pytest_quantcheck_engine(role, source):
    return Blind(lambda prompt: "red", name=source)
"""


def test_a_build_that_takes_no_images_skips_these_tests(plain_gate: Gate) -> None:
    plain_gate.pytester.makeconftest(ENGINE_WITHOUT)
    (plain_gate.pytester.path / "red.png").write_bytes(ggufs.png(255, 0, 0))
    plain_gate.pytester.makepyfile(
        test_it=SUITE + "\ndef test_text(quant):\n    assert quant.chat('?').text == 'red'\n"
    )

    outcome = plain_gate.run()

    assert outcome.words == {"test_text": "held"}
    outcome.result.stdout.fnmatch_lines(["*skipped: *this build takes no images*"])


def test_the_page_on_images_runs(plain_gate: Gate) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "images-and-drafts.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    images = {name: ggufs.png(number, 0, 0) for number, name in enumerate(("car", "before", "after"))}
    for name, data in images.items():
        (plain_gate.pytester.path / f"{name}.png").write_bytes(data)
    car, before, after = map(prompt_of, images.values())
    plain_gate.pytester.makepyfile(test_it=code)
    answers = {
        f"{car}\nWhat colour is the car? One word.": "Red.",
        f"Before:\n{before}\nAfter:\n{after}\nDid the light change? Yes or no.": "yes",
    }
    plain_gate.answers(answers, answers)

    assert plain_gate.run().words == {"test_the_car": "held", "test_two_photos": "held"}


class Files:
    """A baseline and a candidate that are never loaded, and what lies beside them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.folder = pytester.path / "models"
        self.folder.mkdir()
        for name in ("old", "new"):
            ggufs.write_small_header(self.folder / f"{name}.gguf")
        ggufs.write_random_mmproj(self.folder / "fits.gguf", width=32)
        ggufs.write_random_mmproj(self.folder / "fits, too.gguf", width=32, seed=1)
        ggufs.write_random_mmproj(self.folder / "wide.gguf", width=64)
        pytester.makepyfile("def test_it(quant):\n    pass\n")

    def run(self, *args: str) -> pytest.RunResult:
        sides = ("--quant-model=models/new.gguf", "--quant-baseline=models/old.gguf", "--quant-report=r.json")
        return self.pytester.runpytest("-p", "no:randomly", *sides, *args)

    def report(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.pytester.path / "r.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture
def files(pytester: pytest.Pytester) -> Files:
    return Files(pytester)


def shown(result: pytest.RunResult) -> str:
    """The output without its line breaks."""
    return " ".join(result.stdout.str().split())


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--quant-mmproj=models/wide.gguf", "wide.gguf makes embeddings of 64 numbers and old.gguf takes 32: it was *"),
        ("--quant-mmproj=models/fits.gguf,models/wide.gguf", "wide.gguf makes * and new.gguf takes 32: *"),
        ("--quant-mmproj=models/fits.gguf,", "'models/fits.gguf,' is not a GGUF file, or two of them*"),
        ("--quant-draft=nowhere.gguf", "nowhere.gguf: does not exist"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(files: Files, option: str, line: str) -> None:
    result = files.run(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    pytest.LineMatcher([the_one_line(result)]).fnmatch_lines([f"ERROR: {option.partition('=')[0]}: {line}"])


def test_the_header_names_what_was_given(files: Files) -> None:
    result = files.run("--quant-mmproj=models/fits.gguf", "--quant-draft=models/old.gguf")

    assert shown(result).count("projector fits.gguf, drafter old.gguf (drafts nothing here)") == 2  # in the summary too
    conditions = files.report()["roles"]["candidate"]["conditions"]  # type: ignore[index]
    assert (conditions["projector"], conditions["drafter"], conditions["draft"]) == ("fits.gguf", "old.gguf", "")


def test_each_side_with_its_own_projector_and_a_comma_in_a_name(files: Files) -> None:
    result = files.run("--quant-mmproj=models/fits.gguf,models/fits, too.gguf")

    assert "explains projector fits.gguf for the baseline, fits, too.gguf for the candidate; answers to" in shown(
        result
    )
    assert "same content" not in shown(result)  # every difference would be chance
    assert files.report()["settings"]["mmproj"] == ["models/fits.gguf", "models/fits, too.gguf"]  # type: ignore[index]


def test_what_lies_beside_does_not_count_where_a_file_is_named(files: Files) -> None:
    (files.folder / "wide.gguf").rename(files.folder / "mmproj-wide.gguf")
    told = "*informs*projector*mmproj-wide.gguf makes embeddings of 64 numbers*"

    files.run().stdout.fnmatch_lines([told])
    files.run("--quant-mmproj=models/fits.gguf").stdout.no_fnmatch_line(told)


def test_paths_of_the_ini_file_start_there(files: Files) -> None:
    files.pytester.makeini("[pytest]\nquant_mmproj = models/wide.gguf\n")
    (files.pytester.path / "sub").mkdir()
    test = files.pytester.path / "sub" / "test_sub.py"
    test.write_text("def test_it(quant):\n    pass\n", encoding="ascii")

    assert "wide.gguf makes embeddings of 64" in the_one_line(files.run(str(test)))
