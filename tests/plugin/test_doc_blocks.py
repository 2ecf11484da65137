"""Every code block of the documentation is held: Python and our commands run, all else is parsed or looked up.

A block that no rule here covers fails: give it a language, a rule, or, for what a program printed, an entry in
ILLUSTRATIONS with its reason.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml

from pytest_quantcheck.options import OPTIONS
from pytest_quantcheck.options import option_name
from pytest_quantcheck.reports.last_line import PREFIX
from pytest_quantcheck.reports.last_line import last_line
from tests.doc_blocks import PAGES
from tests.doc_blocks import ROOT
from tests.doc_blocks import Block
from tests.doc_blocks import Command
from tests.doc_blocks import blocks
from tests.doc_blocks import commands
from tests.ggufs import png
from tests.ledgers import every_end
from tests.plugin import test_check_pages

BLOCKS: Final = list(blocks())
ILLUSTRATIONS: Final = {
    (
        "docs/explanation/fairness.md",
        "quantcheck: baseline",
    ): "files of 7 GB; tests/plugin/test_fairness.py has the lines",
    ("docs/how-to/images-and-drafts.md", "ERROR: --quant-mmproj"): "a projector of 2560; tests/plugin/test_images.py",
    ("docs/how-to/long-runs.md", "test_invoices.py bbbb"): "a moment of a run; tests/plugin/test_progress.py draws it",
    ("docs/how-to/own-items.md", "ERROR: test_it.py"): "an item that is not on the page; tests/plugin/test_items.py",
    (
        "docs/reference/checks/tools.md",
        "tool-call errors",
    ): "a damaged model of somebody; tests/unit/test_error_counts.py",
}
MADE: Final = ("docs/tutorial.md", "docs/explanation/fidelity.md", "docs/how-to/gate-a-model-upgrade-in-ci.md")
"""Pages whose printed blocks are printed by docs/make_outputs.py."""
OTHERS: Final = {
    "ollama": set(),
    "vllm": {"--max-model-len", "--max-num-seqs", "--no-enable-prefix-caching", "--reasoning-parser"},
    "tox": set(),
    "git": set(),
    "jq": {"-r"},
    "sed": set(),
    "tail": {"-n"},
    "cp": set(),
    "mkdir": set(),
    "cd": set(),
    ".": set(),
}
"""Programs that are not here, with options that their own documentation has; and those that need no check."""
CMAKE: Final = {"GGML_CUDA", "GGML_HIP", "GGML_VULKAN", "GGML_NATIVE", "LLAVA_BUILD"}
"""Flags that were read in the CMakeLists.txt of llama-cpp-python 0.3.36 and its llama.cpp."""
RUN: Final = ("pytest", "quantcheck")
"""Programs that test_doc_commands.py runs."""
SAYS: Final = {
    "Jo Doe owes 1007.50. Answer as JSON with customer and total.": '{"customer": "Jo Doe", "total": 1007.5}',
    "Extract age, city as JSON: Otto is a cook from Tunis, 74 years old.": '{"age": 74, "city": "Tunis"}',
    "Who owes what? Answer with JSON only: ...": '{"name": "Jo", "total": 3}',
    "What are 3 percent of 1250? Only the number.": "37.5",
    "A ferry leaves 20 minutes after 9:55. When?": "10:15",
    "The hall lamp is red, the cellar lamp green. Which lamp is in the cellar?": "green",
    "Ada orders 3 cups. Give name and count as JSON.": '{"name": "Ada", "count": 3}',
    "What is the capital of Peru? Answer with one word.": "Lima",
    'What is 27 + 45? Answer as {"total": ...}.': '{"total": 72}',
    "Describe snow in at most 8 words.": "cold and white",
    "What is 2 + 2?": "4",
    "snow": "It is snow.",
}
"""What the model of the examples answers, by the last message or its last line."""

_CONFTEST = """
import json, pathlib, re
from pytest_quantcheck import Fidelity, ScriptedEngine
from pytest_quantcheck.fidelity import Chunk

SAYS = json.loads((pathlib.Path(__file__).parent / "says.json").read_text(encoding="utf-8"))

def says(prompt):
    if found := re.fullmatch(r"What is (\\d+) \\+ (\\d+)\\?( Only the number.)?", prompt):
        return str(int(found[1]) + int(found[2]))
    if "colour is the car" in prompt:
        return "Red."
    return SAYS.get(prompt, SAYS.get(prompt.splitlines()[-1], "yes"))

def pytest_quantcheck_engine(role, source):
    return ScriptedEngine(
        says,
        bench_tok_s=(500.0, 50.0),
        choose=lambda prompt, choices: [-float(number) for number, _ in enumerate(choices)],
        embed=lambda texts: [(1.0, 0.1 * number) for number, _ in enumerate(texts)],
        fidelity=lambda request: Fidelity(request.name, tuple(Chunk("text", 100, 200.0 + n) for n in range(30))),
    )
"""


def of(*languages: str) -> pytest.MarkDecorator:
    """The blocks of these languages, each a test."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=str)


def test_every_block_is_covered_by_a_rule() -> None:
    held = {"python", "sh", "yaml", "ini", "toml", "json", "text"}

    assert [str(block) for block in BLOCKS if block.language not in held] == []
    assert len(BLOCKS) > 90
    assert {(page, first) for page, first in ILLUSTRATIONS if not any(is_it(b, page, first) for b in BLOCKS)} == set()


def is_it(block: Block, page: str, first: str) -> bool:
    return block.page == page and block.first.startswith(first)


@of("python")
def test_python_runs(pytester: pytest.Pytester, block: Block) -> None:
    page = ROOT / block.page
    if page in test_check_pages.PAGES and block.text in {
        row.code for row in test_check_pages.rows(page.read_text("utf-8"))
    }:
        return  # run there, with every answer of its table
    place(pytester)
    if "def pytest_quantcheck" in block.text:
        pytester.makeconftest(block.text)
        pytester.makepyfile("def test_it(quant):\n    assert quant.chat('What is 2 + 2?').text == '4'\n")
    elif re.search(r"^(def test_|test_\w+ = )", block.text, re.MULTILINE):
        pytester.makepyfile(block.text)
    elif "quant." in block.text:
        body = "".join(f"    {line}\n" for line in block.text.splitlines())
        head = "from pathlib import Path\ntools = [{'type': 'function', 'function': {'name': 'get_weather'}}]\n"
        pytester.makepyfile(f"{head}\n\ndef test_it(quant):\n{body}")
    else:
        exec(block.text, {})
        return

    result = pytester.runpytest("-p", "no:randomly", "--quant-model=new", "--quant-baseline=old", "-W", "error")

    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert outcomes.keys() == {"passed"}


def place(pytester: pytest.Pytester) -> None:
    """The model of the examples, and the files that they read."""
    pytester.makeconftest(_CONFTEST)
    (pytester.path / "says.json").write_text(json.dumps(SAYS), encoding="utf-8")
    for name in ("car", "before", "after"):
        (pytester.path / f"{name}.png").write_bytes(png(255, 0, 0))
    [items] = [block.text for block in BLOCKS if block.language == "json" and block.page.endswith("own-items.md")]
    line = {"key": 1, "prompt": "Describe the sea.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    texts = {"mine.jsonl": items, "capitals.jsonl": items.splitlines()[0], "text.txt": "Once upon a time."}
    for name, text in (texts | {"input_data.jsonl": json.dumps(line)}).items():
        (pytester.path / name).write_text(text, encoding="utf-8")


@of("yaml")
def test_yaml_is_some(block: Block) -> None:
    found = yaml.safe_load(block.text)

    assert isinstance(found, dict)
    for job in found.get("jobs", {}).values():
        lines = [step["run"] for step in job["steps"] if "run" in step]
        assert lines
        for command in (command for text in lines for line in commands(text) for command in line):
            hold(command)
    for model in found.get("models", {}).values():
        hold(Command(tuple(model["cmd"].split()), {}))


@of("ini")
def test_ini_names_our_keys(block: Block) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(block.text)

    for key, value in parser["pytest"].items():
        OPTIONS[key.removeprefix("quant_")].value(value, key)


@of("toml")
def test_toml_is_some(block: Block) -> None:
    assert tomllib.loads(block.text)


@of("json")
def test_json_is_some(block: Block) -> None:
    assert all(json.loads(line) for line in block.text.splitlines())


@of("text")
def test_what_is_printed_is_printed_or_said_to_be_an_illustration(block: Block) -> None:
    if any(is_it(block, page, first) for page, first in ILLUSTRATIONS):
        return
    if block.text.startswith(PREFIX):
        said = json.loads(block.text.strip().removeprefix(PREFIX).replace(",…", ""))
        real = json.loads(last_line(every_end()["no-loss"], 0).removeprefix(PREFIX))
        assert list(said) == list(real)[: len(said)]
        return
    before = (ROOT / block.page).read_text(encoding="utf-8").splitlines()[block.line - 2]
    assert block.page in MADE
    assert before.startswith("<!-- output"), "make it with docs/make_outputs.py"


@of("sh")
def test_commands_have_these_options(block: Block) -> None:
    for line in commands(block.text):
        for command in line:
            hold(command)


def test_a_command_that_cannot_be_meant_is_found() -> None:
    for text in ("pip install 'pytest-quantcheck[gpu]'", "pytest --quant-modle=a.gguf", "llama-server --no-such-thing"):
        with pytest.raises(AssertionError):
            hold(commands(text)[0][0])


def hold(command: Command) -> None:
    """The program is known, and so is each of its options."""
    options = [word.partition("=")[0] for word in command.words[1:] if re.match(r"--?[a-z]", word)]
    flags = re.findall(r"-D(\w+)=", command.variables.get("CMAKE_ARGS", ""))
    assert set(flags) <= CMAKE
    if command.program in RUN:
        assert [option for option in options if option.startswith("--quant-") and option not in our_options()] == []
    elif command.program == "llama-server":
        assert [option for option in options if f"{option}\0".encode() not in llama_server_s_parser()] == []
    elif command.program == "pip":
        hold_pip(command.words[1:], options)
    elif command.program.startswith("python"):
        hold_python(command.words[1:], options)
    else:
        known = OTHERS[command.program]
        assert not known or set(options) <= known


@cache
def our_options() -> set[str]:
    return {option_name(name) for name in OPTIONS}


@cache
def llama_server_s_parser() -> bytes:
    """The library with llama.cpp's command lines, as llama-cpp-python installs it; all servers' options are in it."""
    found = list((Path(sysconfig.get_path("purelib")) / "lib").glob("libllama-common.*"))
    if not found:
        pytest.skip("this llama-cpp-python brings no libllama-common")
    return found[0].read_bytes()


def hold_pip(words: tuple[str, ...], options: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    said = output_of("-m", "pip", words[0], "--help")
    assert [option for option in options if option not in said] == []
    for word in words[1:]:
        assert set(re.findall(r"\[(\w+)\]", word)) <= extras.keys(), word


def hold_python(words: tuple[str, ...], options: list[str]) -> None:
    """A program of ours is there and knows its options; one of others says so itself."""
    if words[0] != "-m":
        assert words[0] in ("-c", "cost.py") or (ROOT / words[0]).is_file()
        return
    module, folder = words[1], ROOT / ("example_suites/tiny" if words[1].startswith("training") else "")
    options = [option for option in options if option != "-m"]
    source = folder / (module.replace(".", "/") + ".py")
    if source.is_file():
        assert [option for option in options if f'"{option}"' not in source.read_text(encoding="utf-8")] == []
    elif module != "venv":
        said = output_of("-m", module, "--help")
        assert [option for option in options if option not in said] == []


@cache
def output_of(*words: str) -> str:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_in_a_sentence_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert set(re.findall(r"(?<![\w-])--quant-[a-z][a-z-]*[a-z]", text)) - {"--quant-some-thing"} <= our_options()
    for code in re.findall(r"`(python (?:-m (?:benchmarks|pytest_quantcheck)|docs/)[^`]*)`", text):
        hold(commands(code.replace("docs/make_*.py", "docs/make_schema.py"))[0][0])
