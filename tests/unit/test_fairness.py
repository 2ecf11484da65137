from __future__ import annotations

from dataclasses import fields
from dataclasses import replace
from typing import Any

import pytest

from pytest_quantcheck import Observation
from pytest_quantcheck import Role
from pytest_quantcheck import Status
from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.fairness import differences
from pytest_quantcheck.fairness import prompts_alike
from pytest_quantcheck.fairness import run_differences
from pytest_quantcheck.fairness import thinking_arms
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.rows import KINDS
from pytest_quantcheck.rows import ROWS
from pytest_quantcheck.rows import SETTINGS_ROWS
from tests.builders import card
from tests.builders import choice
from tests.builders import reply


def side(role: Role, asked: bool | None, *thinking: int) -> list[Observation]:
    return [
        Observation(
            "p",
            role,
            Status.OK,
            (),
            (replace(reply("4", thinking_tokens=count, total=count + 1), thinking_asked=asked),),
        )
        for count in thinking
    ]


@pytest.mark.parametrize(
    ("asked", "old", "new", "expected"),
    [
        (None, (0, 0), (5, 5), []),
        (True, (9, 9), (9, 0), []),
        (True, (9, 9), (0, 0), [("blocks", "the candidate was asked to think and never did in 2 answers")]),
        (True, (0,), (9,), [("blocks", "the baseline was asked to think and never did in 1 answers")]),
        (True, (0,), (0,), ["informs", "informs"]),
        (False, (0, 0), (0, 0), []),
        (False, (0, 0), (0, 3), [("blocks", "the candidate thought in 1 of 2 answers although thinking was off")]),
        (False, (1,), (3,), ["informs", "informs"]),
    ],
)
def test_arms(asked: bool | None, old: tuple[int, ...], new: tuple[int, ...], expected: list[object]) -> None:
    found = thinking_arms(side(Role.BASELINE, asked, *old), side(Role.CANDIDATE, asked, *new))

    if expected and isinstance(expected[0], str):
        assert [difference.level for difference in found] == expected
    else:
        assert [(difference.level, difference.text) for difference in found] == expected


# --- what the run did differently ---

KNOWN = Conditions(
    context=4096,
    kv_type="f16",
    flash_attention="enabled",
    gpu_layers="all",
    threads=4,
    batch=512,
    build="llama.cpp with ggml 0.25.3",
    system="CPU : AVX = 1 | AVX2 = 1 | ",
    environment={"OMP_WAIT_POLICY": "PASSIVE"},
    sampling="greedy",
    seed=0,
    thinking="as the template has it",
    max_tokens=2048,
    template="aa",
    template_of="its own",
)

RUN_CASES: list[tuple[str, dict[str, Any], str]] = [
    # row, what the candidate ran with instead, what the sentence says
    ("context", {"context": 2048}, "context in tokens 4096 for the baseline, 2048 for the candidate"),
    ("kv cache", {"kv_type": "q4_0"}, "KV cache type f16 for the baseline, q4_0 for the candidate"),
    ("flash attention", {"flash_attention": "disabled"}, "enabled for the baseline, disabled for the candidate"),
    ("gpu layers", {"gpu_layers": "12"}, "layers on the GPU all for the baseline, 12 for the candidate"),
    ("threads", {"threads": 2}, "CPU threads 4 for the baseline, 2 for the candidate"),
    ("batch", {"batch": 64}, "512 for the baseline, 64 for the candidate"),
    ("build", {"build": "llama.cpp with ggml 0.26"}, "ggml 0.25.3 for the baseline, llama.cpp with ggml 0.26 for"),
    ("backend", {"system": "CPU : AVX = 1 | "}, "AVX2 = 1 for the baseline, none of its own for the candidate"),
    ("environment", {"environment": {}}, "OMP_WAIT_POLICY=PASSIVE for the baseline, no OMP_WAIT_POLICY for the"),
    ("sampling", {"sampling": "drawn, 3 times"}, "answers greedy for the baseline, drawn, 3 times for the candidate"),
    ("sampling", {"seed": 1}, "seed 0 for the baseline, 1 for the candidate"),
    ("thinking", {"thinking": "off"}, "thinking as the template has it for the baseline, off for the candidate"),
    ("max tokens", {"max_tokens": 64}, "token budget of an answer 2048 for the baseline, 64 for the candidate"),
    ("template in use", {"template": "bb", "template_of": "another"}, "its own for the baseline, another for the"),
    ("prompt cache", {"prompt_cache": True}, "only the candidate kept prompts in a cache"),
    ("draft model", {"draft": "mtp.gguf"}, "drafter none for the baseline, mtp.gguf for the candidate"),
    ("lora", {"lora": "l.gguf"}, "adapter none for the baseline, l.gguf for the candidate"),
]


@pytest.mark.parametrize(("row", "changes", "said"), RUN_CASES)
def test_one_other_condition_blocks_what_its_row_says(row: str, changes: dict[str, Any], said: str) -> None:
    [found] = run_differences(KNOWN, replace(KNOWN, **changes))
    [back] = run_differences(replace(KNOWN, **changes), KNOWN)

    assert (found.row, found.level, found.kinds) == (row, "blocks", ROWS[row].kinds)
    assert (back.row, back.kinds) == (found.row, found.kinds)
    assert said in found.text
    assert back.text != found.text
    assert {f.name for f in fields(Conditions)} >= changes.keys()


def test_every_row_of_the_settings_has_its_case() -> None:
    of_answers = {"silent thinking", "thinking in spite of the switch"}

    assert {row for row, *_ in RUN_CASES} | of_answers == {row.name for row in SETTINGS_ROWS}
    compared = {name for _, changes, _ in RUN_CASES for name in changes}
    # named_companions compares the content of files; decided_by says what need not be told (untold.py)
    of_files = {"projector", "drafter", "decided_by"}
    assert compared | of_files == {part.name for part in fields(Conditions)}


def test_equal_and_unknown_conditions_differ_in_nothing() -> None:
    assert run_differences(KNOWN, KNOWN) == []
    assert run_differences(KNOWN, Conditions()) == run_differences(Conditions(), KNOWN) == []


def test_a_file_s_own_template_is_no_setting() -> None:
    assert run_differences(KNOWN, replace(KNOWN, template="bb")) == []
    pinned = replace(KNOWN, template_of="baseline")
    assert run_differences(KNOWN, pinned) == []


def test_what_the_engine_did_overrules_what_was_planned() -> None:
    facts = {"context": 512, "kv_type": "q8_0", "environment": {"GGML_X": "1"}, "threads": "many", "tuned": True}

    made = KNOWN.with_facts(facts)

    assert made == replace(KNOWN, context=512, kv_type="q8_0", environment={"GGML_X": "1"})
    assert KNOWN.with_facts({"template": "aa"}) == KNOWN
    assert KNOWN.with_facts({"template": "bb"}) == replace(KNOWN, template="bb", template_of="another")


# --- everything together ---

TEMPLATES = {
    Role.BASELINE: replace(card("old"), chat_template="{{ 1 }}"),
    Role.CANDIDATE: replace(card("new"), chat_template="{{ 2 }}"),
}
ALIKE = {Role.BASELINE: KNOWN, Role.CANDIDATE: KNOWN}


def asked(*prompts: tuple[str, str]) -> Observation:
    """Replies by (digest of the request, digest of the token ids)."""
    replies = tuple(replace(reply("4"), asked=question, prompt=ids) for question, ids in prompts)
    return Observation("p", Role.CANDIDATE, Status.OK, (), replies)


def scored(*questions: tuple[str, str]) -> Observation:
    found = tuple(Fidelity("x", (), asked=asked, prompt=prompt) for asked, prompt in questions)
    return Observation("test_x", Role.BASELINE, Status.OK, (), fidelities=found)


def chosen(*prompts: tuple[str, str]) -> Observation:
    """The same as choices."""
    choices = tuple(replace(choice(a=-1, b=-2), asked=question, prompt=ids) for question, ids in prompts)
    return Observation("p", Role.CANDIDATE, Status.OK, (), choices=choices)


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        ([], [], None),
        ([("q", "1")], [("q", "1")], True),
        ([("q", "1"), ("r", "2")], [("q", "1")], True),
        ([("q", "1")], [("q", "2")], False),
        ([("q", "1"), ("r", "2")], [("q", "1"), ("r", "3")], False),
        ([("q", "1"), ("r", "2")], [("q", "1"), ("s", "2")], False),
        ([("q", "")], [("q", "")], False),
        ([("", "1")], [("", "1")], False),
    ],
)
def test_prompts_are_alike_when_every_question_was_read_as_the_same_tokens(
    old: list[tuple[str, str]], new: list[tuple[str, str]], alike: bool | None
) -> None:
    assert prompts_alike([(asked(*old), asked(*new))]) is alike
    assert prompts_alike([(chosen(*old), chosen(*new))]) is alike
    assert prompts_alike([(scored(*old), scored(*new))]) is alike


def test_a_template_explains_until_both_sides_read_the_same_tokens() -> None:
    before = differences(TEMPLATES, ALIKE)
    same = differences(TEMPLATES, ALIKE, [(asked(("q", "1")), asked(("q", "1")))])
    other = differences(TEMPLATES, ALIKE, [(asked(("q", "1")), asked(("q", "2")))])

    assert [(one.row, one.level) for one in before] == [("chat template", "explains")]
    assert [(one.row, one.level) for one in same] == [("chat template", "informs")]
    assert other == before


def test_a_pinned_template_no_longer_explains() -> None:
    pinned = {Role.BASELINE: KNOWN, Role.CANDIDATE: replace(KNOWN, template_of="baseline")}

    [found] = differences(TEMPLATES, pinned)

    assert (found.level, found.kinds) == ("informs", ())
    assert "the baseline's rendered both sides" in found.text


def test_the_gravest_comes_first_and_what_is_allowed_says_so() -> None:
    conditions = {Role.BASELINE: KNOWN, Role.CANDIDATE: replace(KNOWN, threads=1, kv_type="q8_0")}
    cards = {**TEMPLATES, Role.CANDIDATE: replace(TEMPLATES[Role.CANDIDATE], context_length=9)}

    found = differences(cards, conditions, allowed=("kv cache", "trained context"))

    assert [(one.row, one.word) for one in found] == [
        ("kv cache", "allowed"),
        ("threads", "blocks"),
        ("chat template", "explains"),
        ("trained context", "informs"),
    ]
    assert found[0].kinds == ROWS["kv cache"].kinds


def test_files_of_the_same_content_are_not_compared_further() -> None:
    [found] = differences(TEMPLATES, ALIKE, same_content=True)

    assert (found.row, found.level) == ("same content", "informs")
    assert found.text.endswith("(A/A): every difference is chance")


def test_one_file_under_two_conditions_is_a_comparison_of_the_conditions() -> None:
    cached = {Role.BASELINE: KNOWN, Role.CANDIDATE: replace(KNOWN, kv_type="q8_0")}

    cache, content = differences(TEMPLATES, cached, same_content=True)

    assert (cache.row, cache.level) == ("kv cache", "blocks")
    assert content.text == "both files hold the same bytes: what is compared is what the run did differently"


def test_one_side_alone_differs_from_nothing() -> None:
    assert differences({Role.CANDIDATE: card()}, {Role.CANDIDATE: KNOWN}) == ()


def test_every_kind_that_a_row_names_exists() -> None:
    assert all(set(row.kinds) <= set(KINDS) for row in ROWS.values())
    assert all(bool(row.kinds) is (row.level != "informs") for row in ROWS.values())
    assert all(row.kinds[-1] == "attribution" for row in ROWS.values() if row.level == "explains")
