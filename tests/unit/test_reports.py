"""The terminal summary on built ledgers, hostile text on screens, the JSON report on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.repeats import mean_observation
from pytest_quantcheck.reports.replies import answer
from pytest_quantcheck.reports.terminal import summary
from pytest_quantcheck.reports.terminal import table
from pytest_quantcheck.said import Said
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import one_line
from pytest_quantcheck.text import printable
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge
from tests.builders import call
from tests.builders import reply
from tests.ledgers import add
from tests.ledgers import card
from tests.ledgers import ledger
from tests.ledgers import observation

STYLES = {"", "red", "green", "yellow", "bold", "dim"}


def texts(made: Ledger, width: int = 100) -> list[str]:
    return [line.text for line in summary(made, width)]


def rich_ledger() -> Ledger:
    """Something of everything that the summary can show."""
    made = ledger()
    long = reply("word " * 500, thinking="hm " * 50)
    for number in range(4):
        add(made, f"test_sums[{number}]", 1.0, 0.0, marker="assertions", family="sums", replies=(long, long))
    add(made, "test_json", 1.0, 1.0)
    add(made, "test_tools", 0.0, 1.0, marker="tools", replies=(reply(), reply(tool_calls=[call("f", x=1)])))
    add(made, "test_" + "long_" * 40, 1.0, 0.0, marker="a marker with a rather long name of its own")
    made.add_use({"baseline": {"loads": 1, "peak_memory": 5 * 10**9, "facts": {"gpu": False}}})
    return made


@pytest.mark.parametrize("width", [*range(40, 201, 8), 200])
def test_any_width_will_do(width: int) -> None:
    lines = summary(rich_ledger(), width)

    assert {line.style for line in lines} <= STYLES
    assert all(line.text == line.text.rstrip() and "\n" not in line.text for line in lines)
    texts = [line.text for line in lines]
    start = next(number for number, text in enumerate(texts) if text.startswith("REGRESSION"))
    assert all(len(text) <= width for text in texts[start:]), "prose is wrapped"
    assert " ".join(text.strip() for text in texts[start:]).endswith("repeats only the failed tests")


def test_columns_are_aligned_and_the_numbers_right() -> None:
    made = ledger()
    for number in range(12):
        add(made, f"test_{number}", 1.0, 1.0)
    add(made, "test_lost", 1.0, 0.0)
    add(made, "test_won", 0.0, 1.0, marker="tool calls")

    assert texts(made)[:9] == [
        "           file            types               bits/weight     size",
        "baseline   baseline.gguf   Q4_0 98 %, F32 2 %         4.50  4.65 GB",
        "candidate  candidate.gguf  Q4_0 98 %, F32 2 %         4.50  4.65 GB",
        "both       at most 2048 tokens an answer, thinking as the template has it, greedy, seed 0, KV cache",
        "           f16",
        "",
        "by marker   pairs  held  improved  regressed",
        "json           13    12         .          1",
        "tool calls      1     .         1          .",
    ]


def test_cost_adds_up_both_sides() -> None:
    made = ledger()
    add(
        made,
        "test_x",
        1.0,
        1.0,
        replies=(
            reply("a", total=21, thinking_tokens=15, status="truncated", total_s=1.1),
            reply("a", total=41, thinking_tokens=35, status="truncated", total_s=1.1),
        ),
    )
    add(made, "test_y", 1.0, 1.0, replies=(reply("a", total=4), reply("a", total=0)))
    made.add_use({"candidate": {"loads": 2, "peak_memory": 1_500_000, "facts": {"gpu": True}}})

    lines = texts(made)

    start = next(number for number, line in enumerate(lines) if "answers" in line)
    assert [line.split() for line in lines[start : start + 3]] == [
        ["answers", "thinking", "visible", "total", "tokens", "tok/s", "*", "useful", "*", "peak", "memory"],
        ["baseline", "2", "15", "10", "25", "12", "5", "-"],
        ["candidate", "2", "35", "6", "41", "40", "3", "1.50", "MB"],
    ]
    assert lines[start + 3].startswith("* median over the answers, not a measured comparison;")
    assert not lines[start + 4]


def test_a_template_of_no_known_family_is_named_once() -> None:
    ledger = rich_ledger()
    assert not any("known marker" in line for line in texts(ledger))

    for role in ("baseline", "candidate"):
        ledger.add_use({role: {"loads": 1, "peak_memory": 1, "facts": {"family": "plain"}}})
    assert sum("the chat template holds no known marker" in line for line in texts(ledger)) == 1


def test_a_build_without_gpu_is_named_once() -> None:
    assert sum("no GPU support" in line for line in texts(rich_ledger())) == 1


@pytest.mark.parametrize(
    ("old", "new", "family", "style"),
    [
        (1.0, 1.0, "", "green"),
        (1.0, 0.0, "", "red"),
        (1.0, 0.0, "sums", "yellow"),
    ],
)
def test_the_verdict_has_a_colour(old: float | None, new: float, family: str, style: str) -> None:
    made = ledger()
    add(made, "test_x", old, new, family=family)

    said = made.verdict()
    styles = {line.text[:12]: line.style for line in summary(made, 110)}
    assert styles[said.sentence[:12]] == style
    assert styles[said.reach[:12]] == styles[f"Next: {said.next_step}"[:12]] == "dim"


def test_without_a_baseline_tests_pass_or_fail() -> None:
    made = ledger(compared=False)
    add(made, "test_x", None, 1.0)
    add(made, "test_y", None, 0.0)
    add(made, "test_z", None, 1.0, marker="tools")

    assert [line.split() for line in texts(made)[5:8]] == [
        ["by", "marker", "tests", "passed", "failed"],
        ["json", "2", "1", "1"],
        ["tools", "1", "1", "."],
    ]


def test_samples_are_shown_by_family_and_together() -> None:
    made = ledger()
    for number in range(60):
        add(made, f"test_{number}", 1.0, 1.0, family="sums")
    lines = texts(made)
    start = next(number for number, line in enumerate(lines) if line.startswith("samples by family"))
    assert lines[start + 1].split() == ["sums", "60", ".", ".", ".", "0", "-4", "to", "+4", "no", "regression"]
    assert not lines[start + 2]

    for number in range(8):
        add(made, f"test_lost_{number}", 1.0, 0.0, family="dates")
    add(made, "test_both", 0.0, 0.0, family="dates")
    add(made, "test_requirement", 1.0, 1.0)

    lines = texts(made)
    start = next(number for number, line in enumerate(lines) if line.startswith("samples by family"))
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        ["dates", "9", "8", ".", "1", "-89", "-100", "to", "-39", "regression"],
        ["sums", "60", ".", ".", ".", "0", "-4", "to", "+4", "no", "regression"],
        ["all", "samples", "69", "8", ".", "1", "-12", "-18", "to", "-4", "regression"],
    ]


def test_a_lost_family_shows_both_answers_of_its_first_flips() -> None:
    made = ledger()
    for number in range(9):
        add(made, f"test_{number}", 1.0, 0.0, family="sums", replies=(reply(f"{number}\x1b[31m"), reply("?")))
    add(made, "test_won", 0.0, 1.0, family="others")

    lines = texts(made)

    start = lines.index("lost in sums")
    assert lines[start + 1 : start + 9] == [
        "  test_0",
        r"    baseline   '0\x1b[31m'",
        "    candidate  '?'",
        "  test_1",
        r"    baseline   '1\x1b[31m'",
        "    candidate  '?'",
        "  and 7 more (-rx lists them)",
        "",
    ]
    assert not any("lost in others" in line for line in lines)


def test_a_family_that_lost_no_more_than_it_won_is_not_shown() -> None:
    made = ledger()
    for number in range(9):
        add(made, f"test_lost_{number}", 1.0, 0.0, family="sums")
    add(made, "test_lost", 1.0, 0.0, family="dates")
    add(made, "test_won", 0.0, 1.0, family="dates")

    assert [line for line in texts(made) if "lost in" in line] == ["lost in sums"]


def test_cards_without_weights_or_sizes() -> None:
    made = ledger()
    made.cards[Role.BASELINE] = card("x", parameters=0, tensor_bytes=0, tensor_types={}, file_bytes=0)
    add(made, "test_x", 1.0, 1.0)

    assert texts(made)[1].split() == ["baseline", "x.gguf", "-", "-", "-"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (1_005_000, "1.00 MB"),
        (999_994, "999.99 kB"),
        (4_650_000_000, "4.65 GB"),
        (1_234_000_000_000, "1234.00 GB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


cells = st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=6)


@given(st.lists(st.tuples(cells, cells, cells), max_size=4), st.integers(0, 3))
def test_tables_line_up(rows: Sequence[tuple[str, ...]], left: int) -> None:
    header = ("h", "head", "x")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(3)]

    for line, row in zip(table(header, rows, left=left), [header, *rows], strict=True):
        assert line == line.rstrip()
        padded, start = line.ljust(sum(widths) + 4), 0
        for column, width in enumerate(widths):
            cell = padded[start : start + width]
            assert cell == (row[column].ljust(width) if column < left else row[column].rjust(width))
            start += width + 2


# --- text ---

anything = st.text(st.characters(), max_size=300)


@given(anything, st.integers(1, 400))
def test_printable_spells_out_whatever_a_terminal_could_act_on(text: str, limit: int) -> None:
    shown = printable(text, limit)

    assert shown.isprintable()
    assert "\n" not in shown
    if len(text) <= limit:
        assert shown == repr(text)


@given(anything, st.integers(1, 400))
def test_one_line_is_one_bounded_line(text: str, limit: int) -> None:
    shown = one_line(text, limit)

    assert shown.isprintable()
    assert len(shown) <= limit + len(" ... ") + 1


@given(st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=50))
def test_one_line_leaves_plain_prose_alone(text: str) -> None:
    assert one_line(text, 50) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("a" * 10, 10, repr("a" * 10)),
        ("a" * 11, 10, f"{'a' * 10!r} and 1 characters more"),
        ("a" * 199 + "b", 199, f"{'a' * 199!r} and 1 characters more"),
        ("a" * 200 + "b" * 100, 200, f"{'a' * 100!r} ... 100 characters ... {'b' * 100!r}"),
        ("a" * 201 + "b" * 100, 201, f"{'a' * 100!r} ... 101 characters ... {'b' * 100!r}"),
    ],
)
def test_what_is_left_out_is_counted(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n  b\t c ", "a b c"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202eright to left", r"\u202eright to left"),
        ("\ud800", r"\ud800"),
        ("\x9bC1", r"\x9bC1"),
        ("größer 😀", "größer 😀"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text, 100) == shown


def test_answers() -> None:
    tool = call("f", raw='  {"name": "f"}\x1b ')

    assert answer(reply("yes"), 50) == "'yes'"
    assert answer(reply(), 50) == "nothing (ok)"
    assert answer(reply(thinking="hm", status="starved"), 50) == "nothing (starved)"
    assert answer(reply(tool_calls=[tool, tool]), 50) == ", ".join([r"""tool call '{"name": "f"}\x1b'"""] * 2)
    assert answer(reply(tool_calls=[tool] * 7), 50).endswith("', and 2 more tool calls")
    assert answer(reply(tool_calls=[tool] * 7), 50).count("tool call '") == 5
    assert answer(reply("so:", tool_calls=[tool]), 50) == r"""'so:', tool call '{"name": "f"}\x1b'"""


def test_of_a_repeated_sample_the_answers_of_the_first_failed_run_are_shown() -> None:
    made = ledger()
    said = {Role.BASELINE: ["right 1", "right 2", "right 3"], Role.CANDIDATE: ["fine", "wrong", "fine"]}
    for number in range(8):
        old, new = (
            mean_observation([observation(role, f"test_sum[{number}]", text != "wrong", reply(text)) for text in texts])
            for role, texts in said.items()
        )
        result = Result(old.pair, old.pair, "json", "sums", new, judge(old, new, sample=True))
        made.add(Said(baseline=old))
        made.add(Said(result=result))

    lines = [line.text.strip() for line in summary(made, 100)]

    assert "baseline   'right 2'" in lines
    assert "candidate  'wrong'" in lines


@pytest.mark.parametrize("sabotaged", [False, True])
def test_a_spoilt_candidate_is_not_the_baseline_whatever_its_file_is(tmp_path: Path, sabotaged: bool) -> None:
    """Else the self-test's findings would be put down to chance."""
    made = ledger()
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    made.cards = {role: card(role.value, path=str(tmp_path / "a.gguf")) for role in made.settings.roles}
    made.sabotaged = sabotaged

    assert made.same_content() is not sabotaged


def test_a_test_that_was_repeated_counts_once_as_it_ended() -> None:
    """Plugins that run failed tests again report each run under the same node id."""
    observation = Observation("p", Role.CANDIDATE, Status.OK, ())
    ledger = Ledger(Settings(model="new", baseline="old"))
    for verdict in (Verdict(Word.REGRESSED, "failed", ""), Verdict(Word.HELD, "passed", "")):
        result = Result("p", "p[candidate]", "json", "", observation, verdict)
        ledger.add(Said(result=result))

    assert [result.verdict.word for result in ledger.results] == [Word.HELD]
