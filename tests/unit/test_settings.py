"""Every option's parser, where a value comes from, and the defaults."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import Any
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.options import OPTIONS
from pytest_quantcheck.options import option_name
from pytest_quantcheck.options import resolve
from pytest_quantcheck.records import Role
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.settings import NO_CACHE
from pytest_quantcheck.settings import NO_SNAPSHOTS
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.settings import Thinking


class FakeConfig:
    """Command line and ini file; what is not given is None."""

    def __init__(self, given: dict[str, str], ini: dict[str, str], inipath: Path | None) -> None:
        self._given, self._ini, self.inipath = given, ini, inipath
        self.option, self.rootpath = Namespace(), Path("no", "such", "folder")

    def getoption(self, name: str, default: None) -> str | None:
        return self._given.get(name.removeprefix("quant_"), default)

    def getini(self, name: str) -> str | None:
        return self._ini.get(name.removeprefix("quant_"))


def settings(*, ini: dict[str, str] | None = None, inipath: Path | None = None, **given: str) -> Settings:
    return resolve(cast("pytest.Config", FakeConfig(given, ini or {}, inipath)))


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)


GOOD = [
    ("model", "a.gguf", "a.gguf"),
    ("baseline", " a b.gguf", " a b.gguf"),
    ("model", "ollama:gemma4:12b-qat", "ollama:gemma4:12b-qat"),
    ("ctx", "1", 1),
    ("ctx", "32768", 32768),
    ("max_tokens", "1", 1),
    ("gpu_layers", "0", 0),
    ("gpu_layers", "99", 99),
    ("gpu_layers", "all", -1),
    ("gpu_layers", "ALL", -1),
    ("devices", "CUDA0, CUDA1+CUDA2", ("CUDA0", "CUDA1+CUDA2")),
    ("kv_type", "q8_0", ("q8_0",)),
    ("kv_type", "F16", ("f16",)),
    ("kv_type", "f16, q8_0", ("f16", "q8_0")),
    ("kv_type", "q8_0,Q8_0", ("q8_0",)),
    ("mmproj", "a.gguf", "a.gguf"),
    ("draft", "a.gguf,b.gguf", "a.gguf,b.gguf"),
    ("seed", "0", 0),
    ("threads", "1", 1),
    ("timeout", "0.5", 0.5),
    ("timeout", "1e3", 1000.0),
    ("thinking", "on", Thinking(True)),
    ("thinking", "OFF", Thinking(False)),
    ("thinking", "auto", Thinking()),
    ("thinking", "budget:512", Thinking(True, 512)),
    ("loop", "64:4:100", LoopRule(64, 4, 100)),
    ("loop", "Off", None),
    ("max_thinking_inflation", "1.25", 1.25),
    ("gate", "session", "session"),
    ("gate", "Each", "each"),
    ("report", "a/r.json", Path("a/r.json")),
    ("report", "R.JSON", Path("R.JSON")),
    ("summary", "a/s.md", Path("a/s.md")),
    ("progress", "On", "on"),
    ("margin", "0.02", 0.02),
    ("alpha", "0.1", 0.1),
    ("samples", "3", 3),
    ("strict", "true", True),
    ("strict", "False", False),
    ("allow", "chat template, KV cache", ("chat template", "kv cache")),
    ("cache", "OFF", NO_CACHE),
    ("cache", "kept/here", Path("kept/here")),
    ("snapshots", "OFF", NO_SNAPSHOTS),
    ("snapshots", "a/b", Path("a/b")),
    ("record", "true", True),
    ("pin_template", "Baseline", "baseline"),
    ("plan", "true", True),
    ("confirm", "true", True),
    ("selftest", "true", True),
    ("reference", "f16.gguf", "f16.gguf"),
    ("baseline_reference", "f16.gguf", "f16.gguf"),
    ("reference_store", "kept", Path("kept")),
    ("reference_vocabulary", "ALL", "all"),
]
BAD = [
    ("model", ""),
    ("model", "  "),
    ("baseline", ""),
    ("ctx", "0"),
    ("ctx", "-1"),
    ("ctx", "1.5"),
    ("ctx", "many"),
    ("max_tokens", "0"),
    ("max_tokens", ""),
    ("gpu_layers", "-1"),
    ("gpu_layers", "some"),
    ("devices", "CUDA0,"),
    ("devices", "CUDA0+"),
    ("kv_type", "q4_K"),
    ("kv_type", ""),
    ("kv_type", "f16,"),
    ("kv_type", "f16,f16,q8_0"),
    ("mmproj", " "),
    ("draft", ""),
    ("allow", "kv cache,moon"),
    ("seed", "-1"),
    ("threads", "0"),
    ("timeout", "0"),
    ("timeout", "-3"),
    ("timeout", "inf"),
    ("timeout", "1e999"),
    ("timeout", "nan"),
    ("timeout", "soon"),
    ("thinking", "maybe"),
    ("thinking", "budget"),
    ("thinking", "budget:0"),
    ("thinking", "on:5"),
    ("loop", "64"),
    ("loop", "0:3:48"),
    ("loop", "64:1:48"),
    ("loop", "64:3:48:2"),
    ("max_thinking_inflation", "0.9"),
    ("max_thinking_inflation", "much"),
    ("gate", "never"),
    ("cache", " "),
    ("snapshots", " "),
    ("record", "maybe"),
    ("report", "r.xml"),
    ("report", ""),
    ("report", "json"),
    ("summary", "r.json"),
    ("progress", "true"),
    ("margin", "0"),
    ("margin", "1"),
    ("margin", "5 %"),
    ("alpha", "0.5"),
    ("samples", "0"),
    ("strict", "maybe"),
    ("allow", "a,,b"),
    ("pin_template", "candidate"),
    ("plan", "1"),
    ("confirm", ""),
    ("selftest", "yes"),
    ("reference", " "),
    ("baseline_reference", ""),
    ("reference_store", ""),
    ("reference_vocabulary", "half"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_what_each_option_accepts(name: str, text: str, value: Any) -> None:
    made = OPTIONS[name].value(text, "x")

    assert (type(made), made) == (type(value), value)


@pytest.mark.parametrize(("name", "text"), BAD)
def test_what_each_option_refuses_names_the_place_and_what_is_accepted(name: str, text: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        OPTIONS[name].value(text, option_name(name))

    assert str(caught.value) == f"{option_name(name)}: {text!r} is not {OPTIONS[name].accepts}"
    assert caught.value.__suppress_context__


@given(st.sampled_from(sorted(OPTIONS)), st.text(st.characters()))
def test_no_text_is_more_than_a_usage_error(name: str, text: str) -> None:
    said = ""
    try:
        OPTIONS[name].value(text, "x")
    except pytest.UsageError as error:
        said = str(error)

    assert said.isprintable()


def test_every_setting_is_an_option() -> None:
    assert [field.name for field in fields(Settings)] == [*OPTIONS, "snapshot_use"]
    assert {name for name, *_ in GOOD} == {name for name, _ in BAD} == OPTIONS.keys()
    assert option_name("max_tokens") == "--quant-max-tokens"


def test_nothing_given() -> None:
    made = settings()

    assert made == Settings(threads=made.threads)
    assert made.roles == ()


def test_the_command_line_is_closer_than_the_ini_file() -> None:
    made = settings(ini={"ctx": "1", "seed": "2", "gate": ""}, ctx="3")

    assert (made.ctx, made.seed, made.gate) == (3, 2, "each")


def test_a_wrong_value_is_named_where_it_stands() -> None:
    with pytest.raises(pytest.UsageError, match=r"^--quant-ctx: 'x' is not a whole number of tokens$"):
        settings(ctx="x", ini={"ctx": "3"})
    with pytest.raises(pytest.UsageError, match=r"^ini key quant_ctx: 'x' is not"):
        settings(ini={"ctx": "x"})


def test_paths_of_an_ini_file_start_at_the_file_and_those_of_the_command_line_do_not(tmp_path: Path) -> None:
    ini = {"model": "m/new.gguf", "baseline": "/old.gguf", "report": "r.json"}

    made = settings(ini=ini, inipath=tmp_path / "pytest.ini")
    assert (made.model, made.baseline) == (str(tmp_path / "m/new.gguf"), "/old.gguf")
    assert made.report == tmp_path / "r.json"

    made = settings(ini=ini, inipath=tmp_path / "pytest.ini", model="new.gguf", report="r.json")
    assert (made.model, made.report) == ("new.gguf", Path("r.json"))
    assert settings(ini=ini).model == "m/new.gguf"


def test_an_address_is_no_path(tmp_path: Path) -> None:
    ini = {"model": "http://localhost:8080#a/b", "baseline": "old.gguf"}

    found = settings(ini=ini, inipath=tmp_path / "pytest.ini")

    assert found.model == ini["model"]
    assert found.baseline == str(tmp_path / "old.gguf")


def test_what_is_no_address_says_so_where_it_stands() -> None:
    with pytest.raises(pytest.UsageError, match=r"^--quant-model: 'ollama:' names no model: ollama:NAME$"):
        settings(model="ollama:")
    with pytest.raises(pytest.UsageError, match=r"^--quant-baseline: an address of a server holds no user, password"):
        settings(model="a.gguf", baseline="http://me:canary@host#m")
    with pytest.raises(pytest.UsageError, match=r"^--quant-reference: a reference is a file: no server tells"):
        settings(model="a.gguf", reference="vllm:m")


def test_roles_and_their_files() -> None:
    alone, both = settings(model="new"), settings(model="new", baseline="old")

    assert alone.roles == (Role.CANDIDATE,)
    assert both.roles == (Role.BASELINE, Role.CANDIDATE)
    assert [both.source(role) for role in both.roles] == ["old", "new"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"reference": "f16"}, "--quant-reference needs --quant-model"),
        ({"model": "new", "baseline": "old", "baseline_reference": "f16"}, "reference needs --quant-reference"),
        ({"model": "new", "reference": "f16", "baseline_reference": "f16"}, "reference needs --quant-baseline"),
    ],
)
def test_a_reference_is_one_for_something(given: dict[str, Any], line: str) -> None:
    with pytest.raises(pytest.UsageError, match=line):
        settings(**given)


def test_a_reference_of_an_ini_file_stands_beside_it(tmp_path: Path) -> None:
    ini = {"model": "new", "reference": "f16.gguf", "reference_store": "kept"}
    made = settings(ini=ini, inipath=tmp_path / "pytest.ini")

    assert (made.reference, made.reference_store) == (str(tmp_path / "f16.gguf"), tmp_path / "kept")


def test_a_baseline_alone_compares_nothing() -> None:
    with pytest.raises(pytest.UsageError, match="--quant-baseline needs --quant-model"):
        settings(baseline="old")


def test_each_side_may_have_its_own_type_of_cache() -> None:
    one, two = settings(model="new", kv_type="q8_0"), settings(model="new", baseline="old", kv_type="f16,q8_0")

    assert [one.kv_type_of(role) for role in Role] == ["q8_0", "q8_0", "f16"]
    assert [two.kv_type_of(role) for role in Role] == ["f16", "q8_0", "f16"]


@pytest.mark.parametrize(
    ("text", "there", "files"),
    [
        ("a.gguf", [], ["a.gguf"]),
        ("a.gguf,b.gguf", [], ["a.gguf", "b.gguf"]),
        ("a.gguf,a.gguf", [], ["a.gguf"]),
        # a comma may belong to a name: what exists decides
        ("a,b.gguf", ["a,b.gguf"], ["a,b.gguf"]),
        ("a,b.gguf,c.gguf", ["a,b.gguf", "c.gguf"], ["a,b.gguf", "c.gguf"]),
        ("a,b.gguf,c.gguf", ["a", "b.gguf,c.gguf"], ["a", "b.gguf,c.gguf"]),
        ("a,b.gguf,c.gguf", [], None),
        ("a,b,c", ["a", "b,c", "a,b", "c"], None),
        ("a.gguf,", ["a.gguf"], None),
        (",a.gguf", ["a.gguf"], None),
    ],
)
@pytest.mark.parametrize("name", ["mmproj", "draft"])
def test_one_file_or_one_for_each_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, there: list[str], files: list[str] | None
) -> None:
    (tmp_path / "sub").mkdir()
    for file in there:
        (tmp_path / "sub" / file).touch()
    monkeypatch.chdir(tmp_path / "sub")
    ini = {"model": "new", "baseline": "old", name: text}
    given: dict[str, Any] = {name: text}
    if files is None:
        with pytest.raises(pytest.UsageError, match=rf"^--quant-{name}: .* is not a GGUF file, or two of them: "):
            settings(model="new", baseline="old", **given)
        with pytest.raises(pytest.UsageError, match=rf"^ini key quant_{name}: "):
            settings(ini=ini)
        return

    made = settings(model="new", baseline="old", **given)
    assert list(getattr(made, name)) == files
    side = made.mmproj_of if name == "mmproj" else made.draft_of
    assert (side(Role.BASELINE), side(Role.CANDIDATE)) == (files[0], files[-1])

    monkeypatch.chdir(tmp_path)
    made = settings(ini=ini, inipath=tmp_path / "sub" / "pytest.ini")
    assert list(getattr(made, name)) == [str(tmp_path / "sub" / file) for file in files]


def test_without_a_projector_no_side_has_one() -> None:
    made = settings(model="new", baseline="old")

    assert [made.mmproj_of(role) for role in made.roles] == [made.draft_of(role) for role in made.roles] == [None, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [("kv_type", "f16,q8_0"), ("pin_template", "baseline"), ("mmproj", "a.gguf,b.gguf"), ("draft", "a.gguf,b.gguf")],
)
def test_what_needs_a_baseline_says_so(name: str, value: str) -> None:
    ini = {name: value}

    with pytest.raises(pytest.UsageError, match=rf"^{option_name(name)}.* needs --quant-baseline: the"):
        settings(ini=ini, model="new")
    settings(ini=ini, model="new", baseline="old")
    settings(ini=ini)  # without a model our tests are skipped


@pytest.mark.parametrize(
    ("cores", "workers", "threads"),
    [(1, None, 1), (2, None, 1), (16, None, 15), (16, "1", 15), (16, "4", 3), (16, "16", 1), (4, "64", 1)],
)
@pytest.mark.parametrize("affinity", [True, False], ids=["affinity", "no affinity"])
def test_workers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: str | None, threads: int, affinity: bool
) -> None:
    if affinity:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 1000)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
    if workers is not None:
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", workers)

    assert settings().threads == threads
    assert settings(threads="7").threads == 7


def test_an_unknown_number_of_cores_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    assert settings().threads == 1
