"""Whether what is shipped is whole: ``python -m tests.packages DIST``, a folder with one wheel and one sdist.

The wheel holds the package and nothing else. Alone in an empty environment of every interpreter on the path, outside
of this checkout, it runs a user's suite on a bundled model. From the unpacked sdist the README's first command runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PYTHONS: Final = ("python3.11", "python3.12", "python3.13")
SUITE: Final = """
import pytest

from pytest_quantcheck import Probe


@pytest.mark.quant_budget(total_tokens=64)
def test_says_something(quant: Probe) -> None:
    assert quant.chat("What is 27 + 45?").text


@pytest.mark.quant_json(schema={"type": "object"}, constrained=True, min_score=0)
def test_forced(quant: Probe) -> None:
    quant.chat("Extract name as JSON: Otto is a cook.", max_tokens=64)
"""
"""What the model says to it decides nothing: both sides are one file."""
_SCHEMA: Final = (
    "from importlib.resources import files; import json, pytest_quantcheck.reports as r; "
    "json.loads((files(r) / 'report.schema.json').read_text('utf-8'))"
)


def main(folder: Path) -> None:
    """Fail with one line that says what is wrong."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    _same(_in_wheel(wheel), _package(), "the wheel")
    with TemporaryDirectory() as place:
        unpacked = _unpacked(sdist, Path(place))
        pythons = [found for python in PYTHONS if (found := shutil.which(python)) and _starts(found)]
        for number, python in enumerate(pythons):
            bin_folder = _environment(python, Path(place) / f"python{number}", wheel)
            _user_s_suite(bin_folder, Path(place) / f"user{number}")
            print(f"the wheel alone, {python}: fine")
        text = (unpacked / "README.md").read_text("utf-8").replace("\\\n", "")
        readme = re.search(r"^pip install \. && (pytest .*)$", text, re.MULTILINE)
        assert readme is not None, "the README has no first command"
        bin_folder = _environment(sys.executable, Path(place) / "sdist", unpacked)
        _run([str(bin_folder / "pytest"), "-q", *readme[1].split()[1:]], unpacked)
        print("the README's first command in the unpacked sdist: fine")


def _starts(python: str) -> bool:
    """Pyenv puts a name on the path for every interpreter, also for those that it does not start."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _package() -> set[str]:
    """What has to be installed: all files of the package, whatever reads them."""
    files = (ROOT / "pytest_quantcheck").rglob("*")
    return {str(file.relative_to(ROOT)) for file in files if file.is_file() and "__pycache__" not in file.parts}


def _in_wheel(wheel: Path) -> set[str]:
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if ".dist-info/" in name}
    for needed in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        assert any(name.endswith(f".dist-info/{needed}") for name in about), f"the wheel has no {needed}"
    assert {"pytest_quantcheck/py.typed", "pytest_quantcheck/reports/report.schema.json"} <= names
    return names - about


def _unpacked(sdist: Path, place: Path) -> Path:
    """Its folder; it holds whatever git has or would take."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    [folder] = [path for path in place.iterdir() if path.is_dir()]
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {"PKG-INFO"}
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
        _same(found, {name for name in listed.decode().split("\0") if name}, "the sdist")
    return folder


def _same(found: set[str], wanted: set[str], where: str) -> None:
    for names, what in ((wanted - found, "lacks"), (found - wanted, "should not hold")):
        if names:
            raise SystemExit(f"{where} {what} {', '.join(sorted(names)[:10])}")


def _environment(python: str, folder: Path, package: Path) -> Path:
    """The programs of a new environment in which nothing but this is installed."""
    _run([python, "-m", "venv", str(folder)], folder.parent)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    _run([str(programs / "python"), "-m", "pip", "install", "--quiet", str(package)], folder.parent)
    return programs


def _user_s_suite(programs: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "test_mine.py").write_text(SUITE, encoding="utf-8")
    shutil.copy(ROOT / "example_suites" / "tiny" / "models" / "tiny-q4_0.gguf", folder / "today.gguf")
    _run([str(programs / "python"), "-P", "-c", _SCHEMA], folder)
    _run([str(programs / "quantcheck"), "card", "today.gguf"], folder)
    command = ["--quant-model=today.gguf", "--quant-baseline=today.gguf", "--strict-markers", "-W", "error"]
    assert "2 passed" in _run([str(programs / "pytest"), *command], folder)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
