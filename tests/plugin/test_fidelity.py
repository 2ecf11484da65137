"""quant.fidelity and quant_fidelity in whole runs on scripted engines: verdicts, references, stores, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.fidelity_store import Passage
from pytest_quantcheck.fidelity_store import StoreHeader
from tests.plugin.conftest import Gate
from tests.plugin.conftest import Outcome

_CONFTEST = """
import json, os, pathlib
from dataclasses import replace
from pytest_quantcheck import EngineDied, Fidelity, ScriptedEngine
from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity_store import Passage, StoreHeader, read_store_header, request_digest

HERE = pathlib.Path(__file__).parent

def store(path, request, source):
    header = StoreHeader(
        10, 10, request.window, (Passage((1, 2, 3), ((1, 3, "text"),)),), asked=request_digest(request),
        reference=f"{source}.gguf", reference_fingerprint=source, **WORLD.get("store", {}),
    )
    start = header.encoded()
    size = replace(header, start=len(start)).file_bytes
    pathlib.Path(path).write_bytes(start + bytes(size - len(start)))

class Measured(ScriptedEngine):
    @property
    def facts(self):
        return WORLD.get("facts", {})
    def _log(self, what):
        with open(HERE / "events.txt", "a") as log:
            log.write(f"{os.getpid()} {self._name} {what}\\n")
    def _load(self):
        if not self._loaded:
            self._log("load")
        super()._load()
    def close(self):
        if self._loaded:
            self._log("close")
        super().close()
    def card(self):
        more = WORLD.get("cards", {}).get(self._name, {})
        return replace(super().card(), path=f"{self._name}.gguf", fingerprint=self._name, **more)

WORLD = {}

def pytest_quantcheck_engine(role, source):
    WORLD.update(json.loads((HERE / "world.json").read_text()))
    if source not in WORLD["kl"]:
        return None
    def fidelity(request):
        if WORLD["kl"][source] is None:
            raise EngineDied("last words of llama.cpp")
        if request.write:
            store(request.write, request, source)
        header = read_store_header(request.store) if request.store else None
        kl = abs(WORLD["kl"][source] - WORLD["kl"].get(header.reference_fingerprint, 0)) if header else None
        unit = [(1 + 0.1 * (-1) ** n) for n in range(WORLD.get("units", 40))]
        chunks = tuple(
            Chunk("text", 100, 200 + 100 * WORLD["kl"][source] * u, *([200, 100 * kl * u, 90] if header else []))
            for u in unit
        )
        found = Fidelity(request.name, chunks, prompt="p", window=request.window)
        if header is None:
            return found
        who = header.reference_fingerprint
        return replace(found, covered=1.0, reference=header.reference, reference_fingerprint=who)
    return Measured(lambda prompt: "yes", name=source, fidelity=fidelity)
"""

SUITE = """
import pytest

@pytest.mark.quant_fidelity
def test_text(quant):
    found = quant.fidelity("Once upon a time", name="story")
    assert quant.fidelity("Once upon a time", name="story").perplexity == found.perplexity
"""


@pytest.fixture
def plain(plain_gate: Gate) -> World:
    return World(plain_gate)


class World:
    """A suite and what each file's probabilities are like: the KL divergence of each from the truth."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        gate.pytester.makeconftest(_CONFTEST)
        gate.pytester.makepyfile(SUITE)
        self.path: Path = gate.pytester.path
        self.set()

    def set(self, old: float = 0.02, new: float | None = 0.021, f16: float | None = 0.0, **more: Any) -> None:
        kl = {"old": old, "new": new, "f16": f16, "other": 0.0, **more.pop("kl", {})}
        (self.path / "world.json").write_text(json.dumps({"kl": kl, **more}), encoding="utf-8")

    def run(self, *args: str, reference: str = "f16", **more: Any) -> Outcome:
        return self.gate.run(*([f"--quant-reference={reference}"] if reference else []), *args, **more)

    def events(self) -> list[tuple[str, str]]:
        return [(line[1], line[2]) for line in self.gate.log("events")]

    def loads(self, source: str) -> int:
        return self.events().count((source, "load"))

    def stores(self) -> list[Path]:
        return sorted(self.path.rglob("*.logp"))


def refused(outcome: Outcome, line: str) -> None:
    assert outcome.result.ret == pytest.ExitCode.USAGE_ERROR
    assert line in outcome.result.stderr.str() + outcome.result.stdout.str()


def test_a_file_that_went_further_away_is_lost_and_the_reference_runs_once(plain: World) -> None:
    plain.set(new=0.1)

    lost = plain.run()

    assert (lost.result.ret, lost.kind, lost.words) == (1, "regression", {"test_text": "regressed"})
    [instrument] = lost.report["verdict"]["instruments"]
    assert (instrument["check"], instrument["answer"]) == ("fidelity", "regression")
    assert (
        "KL to f16.gguf 0.1000 ± 0.0027 against the baseline's 0.02: 5 times, limit 1.25: regression"
        in (lost.report["pairs"][0]["verdict"]["why"])
    )
    assert plain.loads("f16") == 1
    lost.result.stdout.fnmatch_lines(["reference  f16.gguf *", "story *baseline *", "*reference *", "REGRESSION: *"])
    lost.result.stdout.fnmatch_lines(["quantcheck: baseline *", "*reference  f16.gguf*"])

    plain.set()
    kept = plain.run()

    assert (kept.result.ret, kept.kind) == (0, "no-loss")
    assert kept.report["verdict"]["sentence"] == "NO LOSS: none of 1 requirement was lost. Fidelity: no regression"
    assert kept.report["verdict"]["reach"] == ""
    assert plain.loads("f16") == 0
    assert len(plain.stores()) == 1
    assert not list(plain.path.rglob("*.part"))


def test_two_workers_that_want_the_same_store(pytester: pytest.Pytester) -> None:
    world = World(Gate(pytester, ("-n2",)))
    body = SUITE.replace("test_text", "test_again")
    pytester.makepyfile(test_a=SUITE, test_b=body, test_c=body)
    world.set(new=0.1)

    done = world.run()

    assert set(done.words.values()) == {"regressed"}
    assert 1 <= world.loads("f16") <= 2
    assert len(world.stores()) == 1


def test_one_model_is_loaded_at_a_time(plain: World) -> None:
    asks_first = SUITE.replace("    found = ", '    quant.chat("Say yes.")\n    found = ')
    plain.gate.pytester.makepyfile(asks_first)
    plain.run()

    loaded: set[str] = set()
    events = plain.events()
    for source, what in events:
        (loaded.add if what == "load" else loaded.discard)(source)
        assert len(loaded) <= 1, events
    assert not loaded
    assert [source for source, what in events if what == "load"] == ["old", "f16", "old", "new"]


def test_a_folder_of_stores_needs_no_model(plain: World) -> None:
    plain.run("--quant-reference-store=kept")
    plain.events()

    done = plain.run(reference="kept")

    assert done.kind == "no-loss"
    assert plain.loads("f16") == 0
    done.result.stdout.fnmatch_lines(["reference  kept *kept log-probabilities of f16.gguf*"])
    [reference] = done.report["references"]
    assert (reference["kind"], reference["models"]) == ("folder", ["f16.gguf"])
    assert plain.run(reference=str(plain.stores()[0])).kind == "no-loss"

    plain.gate.pytester.makepyfile(SUITE.replace("Once", "Twice"))
    other = plain.run(reference="kept")
    assert (other.result.ret, other.kind) == (1, "crashed")
    line = "--quant-reference: kept holds no store of this text (story); give the unquantized GGUF as --quant-reference"
    assert line in other.result.stdout.str()


def test_without_a_cache_a_store_lives_as_long_as_the_run(plain: World) -> None:
    assert plain.run("-p", "no:cacheprovider").kind == "no-loss"
    assert plain.stores() == []
    assert plain.loads("f16") == 1


def test_references_that_cannot_be_meant(plain: World) -> None:
    refused(plain.run(reference="nowhere.gguf"), "--quant-reference: ")
    (plain.path / "empty").mkdir()
    refused(plain.run(reference="empty"), "--quant-reference: empty: holds no store of log-probabilities")
    plain.set(
        cards={"f16": {"architecture": "gemma"}, "old": {"architecture": "llama"}, "new": {"architecture": "llama"}}
    )
    refused(
        plain.run(),
        "--quant-reference: architecture: architecture gemma for the reference, llama for the candidate: these are not",
    )
    plain.set(cards={"f16": {"vocabulary_digest": "a"}, "old": {"vocabulary_digest": "b"}})
    refused(plain.run(), "--quant-reference: vocabulary: ")
    plain.set(cards={"other": {"vocabulary_digest": "a"}, "old": {"vocabulary_digest": "b"}})
    refused(plain.run("--quant-baseline-reference=other"), "--quant-baseline-reference: vocabulary: ")
    assert plain.events() == []


def test_a_store_of_another_vocabulary_is_refused_before_anything_runs(plain: World) -> None:
    header = StoreHeader(
        10, 10, 512, (Passage((1, 2), ((1, 2, "text"),)),), vocabulary_digest="a", reference="f16.gguf"
    )
    start = header.encoded()
    size = header.file_bytes + len(start)
    (plain.path / "one.logp").write_bytes(start + bytes(size - len(start)))
    plain.set(cards={"new": {"vocabulary_digest": "b"}})

    refused(plain.run(reference="one.logp"), "vocabulary: one.logp was made with another one than the candidate has")


def test_a_reference_that_is_itself_quantized_is_said_so(plain: World) -> None:
    plain.set(cards={"f16": {"tensor_types": {"Q8_0": 100, "F32": 1}, "tensor_bytes": 101}})

    done = plain.run("--quant-summary=summary.md")

    said = "f16.gguf: the reference is itself quantized (Q8_0)"
    assert done.kind == "no-loss"
    assert done.result.stdout.str().count(said) == 2  # before the first test, and in the summary
    assert said.replace("_", r"\_") in (plain.path / "summary.md").read_text(encoding="utf-8")


def test_a_baseline_that_is_the_reference_decides_nothing_but_perplexity(plain: World) -> None:
    plain.set(old=0.0, new=0.004, f16=0.0)

    done = plain.run(reference="old")

    assert (done.result.ret, done.kind) == (0, "cannot-tell")
    assert done.report["verdict"]["sentence"] == "CANNOT TELL: none of 1 requirement was lost. Fidelity: cannot tell"
    assert "the baseline is that reference itself" in done.report["verdict"]["next_step"]
    strict = plain.run("--quant-strict", reference="old")
    assert (strict.result.ret, strict.kind) == (1, "cannot-tell")


def test_too_few_chunks_say_how_many_it_takes(plain: World) -> None:
    plain.set(new=0.1, units=10)

    done = plain.run()

    assert (done.result.ret, done.kind) == (0, "cannot-tell")
    assert "story: cannot tell from 10 chunks; a verdict takes 20 or more; " in done.report["verdict"]["next_step"]
    done.result.stdout.fnmatch_lines(["cannot tell in test_too_few*", "* story:*"])


def test_without_a_reference_there_is_perplexity(plain: World) -> None:
    plain.set(new=0.1)

    done = plain.run(reference="")

    assert done.words == {"test_text": "regressed"}
    assert "story: perplexity +8.33 %" in done.report["pairs"][0]["verdict"]["why"]
    assert done.report["references"] == []

    plain.gate.pytester.makepyfile(SUITE.replace("quant_fidelity", "quant_fidelity(kl=0.05)"))
    limit = plain.run(reference="")
    limit.result.assert_outcomes(skipped=2)
    assert "limits need --quant-reference=FILE.gguf" in limit.result.stdout.str()


def test_alone_a_file_is_held_to_limits(plain: World) -> None:
    plain.gate.pytester.makepyfile(SUITE.replace("quant_fidelity", "quant_fidelity(kl=0.05)"))

    assert plain.run(baseline=False).result.ret == 0
    plain.set(new=0.1)
    assert plain.run(baseline=False).result.ret == 1


def test_figures_under_other_conditions_are_unfair_and_not_lost(plain: World) -> None:
    plain.set(new=0.1)

    done = plain.run("--quant-kv-type=f16,q8_0")

    assert (done.result.ret, done.kind) == (1, "unfair")
    assert "KV cache type f16 for the baseline, q8_0 for the candidate" in done.report["verdict"]["sentence"]
    allowed = plain.run("--quant-kv-type=f16,q8_0", "--quant-allow=kv cache")
    assert allowed.kind == "regression"


def test_a_regression_of_figures_is_no_flip_of_a_sample(plain: World) -> None:
    plain.set(new=0.1)

    done = plain.run("--quant-gate=session")

    assert (done.result.ret, done.kind) == (1, "regression")
    assert done.report["verdict"]["samples"] is None


def test_each_side_may_have_its_own_reference(plain: World) -> None:
    plain.set(kl={"other": 0.001})

    done = plain.run("--quant-baseline-reference=other")

    rows = {one["row"]: one["text"] for one in done.report["verdict"]["differences"]}
    assert rows["reference"].startswith("other.gguf for the baseline, f16.gguf for the candidate: ")
    assert "against the baseline's 0.019 to other.gguf" in done.report["verdict"]["instruments"][0]["why"]
    done.result.stdout.fnmatch_lines(["baseline's reference  other.gguf*", "*baseline's reference *", "* reference *"])
    assert "recovers" not in done.result.stdout.str()


def test_a_reference_that_dies_is_an_error_and_is_not_tried_again(plain: World) -> None:
    plain.gate.pytester.makepyfile(SUITE, test_more=SUITE)
    plain.set(f16=None)

    done = plain.run()

    assert done.kind == "crashed"
    assert "the reference: last words of llama.cpp" in done.result.stdout.str()
    assert plain.loads("f16") == 1


def test_what_cannot_be_measured_is_the_tests_own_fault(plain: World) -> None:
    plain.gate.pytester.makepyfile("def test_it(quant):\n    quant.fidelity('')\n")

    done = plain.run()

    assert (done.result.ret, done.kind) == (1, "failed")
    done.result.stdout.fnmatch_lines(
        [">       quant.fidelity('')", "E       *MarkerError: quant.fidelity: the text is empty"]
    )
    assert "measuring.py" not in done.result.stdout.str()


def test_a_text_from_a_file(plain: World) -> None:
    (plain.path / "story.txt").write_text("Once upon a time", encoding="utf-8")
    plain.gate.pytester.makepyfile(
        "import pathlib\n\ndef test_it(quant):\n    quant.fidelity(pathlib.Path('story.txt'))\n"
    )

    done = plain.run()

    [fidelity] = done.report["pairs"][0]["candidate"]["fidelities"]
    assert (fidelity["name"], fidelity["reference"], fidelity["itself"]) == ("story.txt", "f16.gguf", False)
    assert done.report["verdict"]["instruments"] == []
