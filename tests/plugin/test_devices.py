"""Workers on devices of their own: how many there are, who gets which, and what may be measured there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from tests.plugin.conftest import Gate

SUITE = """
    import json, os, pathlib, time
    import pytest
    from pytest_quantcheck.plugin import run_key

    HERE = pathlib.Path(__file__).parent

    @pytest.fixture(autouse=True)
    def _seen(request):
        place = request.config.stash[run_key].place
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        with open(HERE / "places.txt", "a") as log:
            log.write(json.dumps([worker, place.devices, place.sharers]) + "\\n")

    @pytest.mark.parametrize("n", range(6))
    def test_asked(quant, n):
        assert quant.chat(f"{n}?").text == str(n)
"""
ANSWERS = {f"{n}?": str(n) for n in range(6)}


@pytest.fixture
def several(plain_gate: Gate) -> Gate:
    plain_gate.pytester.makepyfile(test_it=SUITE)
    plain_gate.answers(ANSWERS, {**ANSWERS, "2?": "two"})
    return plain_gate


def devices(gate: Gate, *names: str) -> None:
    (gate.pytester.path / "devices.txt").write_text(" ".join(names), encoding="ascii")


def seen(gate: Gate) -> dict[str, tuple[list[str], int]]:
    """Worker -> its devices and how many workers share them; each must have had the same all the time."""
    found: dict[str, set[tuple[str, int]]] = {}
    for line in (gate.pytester.path / "places.txt").read_text(encoding="ascii").splitlines():
        worker, names, sharers = json.loads(line)
        found.setdefault(worker, set()).add(("+".join(names), sharers))
    return {worker: (name.split("+"), sharers) for worker, [(name, sharers)] in sorted(found.items())}


def test_auto_starts_one_worker_a_device(several: Gate) -> None:
    devices(several, "CUDA0", "CUDA1")

    outcome = several.run("-nauto")

    assert outcome.words["test_asked[2]"] == "regressed"
    assert list(outcome.words.values()).count("held") == 5
    assert seen(several) == {"gw0": (["CUDA0"], 1), "gw1": (["CUDA1"], 1)}
    outcome.result.stdout.fnmatch_lines(["quantcheck: 2 workers on CUDA0, CUDA1"])
    loads = [(pid, source) for pid, source in several.log("loads")]
    assert len(loads) == len(set(loads)) == 4, "each worker loads each model once"


def test_more_workers_than_devices_share_them(several: Gate) -> None:
    devices(several, "CUDA0", "CUDA0+CUDA1")

    outcome = several.run("-n3")

    assert seen(several) == {"gw0": (["CUDA0"], 3), "gw1": (["CUDA0", "CUDA1"], 3), "gw2": (["CUDA0"], 3)}
    outcome.result.stdout.fnmatch_lines(["quantcheck: 3 workers on CUDA0, CUDA0+CUDA1 (shared: no speed is judged)"])


def test_a_replacement_gets_the_device_of_the_dead_worker(several: Gate) -> None:
    devices(several, "CUDA0", "CUDA1", "CUDA2")
    several.pytester.makepyfile(
        test_it=SUITE
        + """
    def test_between(quant):
        quant.chat("0?")

    def test_dies(quant, request):
        if "candidate" in request.node.name:
            quant.chat("0?")
            os._exit(3)
        quant.chat("0?")

    @pytest.mark.parametrize("n", range(6))
    def test_after(quant, n):
        assert quant.chat(f"{n}?").text
"""
    )

    outcome = several.run("-n3")

    places = seen(several)
    assert len(places) == 4
    assert places["gw3"] == places["gw1"] == (["CUDA1"], 1)
    assert {name: word for name, word in outcome.words.items() if word != "held"} == {"test_asked[2]": "regressed"}
    assert outcome.result.ret == 1


FAST = """
    import pytest

    @pytest.mark.parametrize("n", range(2))
    @pytest.mark.quant_speed(decode=40)
    def test_fast(quant, n):
        quant.chat("?")
"""


@pytest.mark.parametrize(("names", "judged"), [(["CUDA0", "CUDA1"], True), (["CUDA0"], False)])
def test_speed_is_judged_where_no_device_is_shared(plain_gate: Gate, names: Sequence[str], judged: bool) -> None:
    devices(plain_gate, *names)
    plain_gate.pytester.makepyfile(test_it=FAST)
    plain_gate.answers({"?": "yes"}, {"?": "yes"})

    outcome = plain_gate.run("-n2")

    if judged:
        assert outcome.words == {"test_fast[0]": "held", "test_fast[1]": "held"}
    else:
        why = "speed is not judged: 2 pytest-xdist workers share CUDA0; run speed tests with -n0"
        outcome.result.stdout.fnmatch_lines([f"quantcheck: 4 skipped: {why}"])


def without_times(report: dict[str, Any]) -> dict[str, Any]:
    """What must be the same however the run was dealt out: all but times, processes and loads."""
    said = json.loads(re.sub(r'"(duration_s|started|finished)": [^,}]+', r'"\1": 0', json.dumps(report)))
    for key in ("command", "created"):
        said.pop(key, None)
    for role in said["roles"].values():
        role.pop("use", None)
    said.pop("settings", None)
    return dict(said)


def test_verdicts_and_reports_are_those_of_a_serial_run(several: Gate) -> None:
    devices(several, "CUDA0", "CUDA1")
    several.pytester.makepyfile(
        test_it=SUITE
        + """
    @pytest.mark.parametrize("n", range(6))
    @pytest.mark.quant_sample(family="digits")
    @pytest.mark.quant_constraint(max_words=1)
    def test_sampled(quant, n):
        assert quant.chat(f"{n}?").text == str(n)
"""
    )

    serial, dealt = several.run(), several.run("-n2")

    assert without_times(dealt.report) == without_times(serial.report)
    assert serial.kind == dealt.kind == "regression"

    def told(lines: list[str]) -> list[str]:
        start = next(at for at, line in enumerate(lines) if re.fullmatch("=+ quantcheck =+", line))
        return [line for line in lines[start:] if " in " not in line]

    assert told(dealt.result.outlines) == told(serial.result.outlines)
