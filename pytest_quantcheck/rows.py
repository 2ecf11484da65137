"""The rows of the fairness report: what may differ between the two sides, and what each difference does. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck.records import Record

Level = Literal["blocks", "explains", "informs"]

KINDS: Final = ("quality", "distribution", "speed", "memory", "attribution")
"""The kinds of verdict: on the answers, on the next-token probabilities, on tokens a second, on bytes, and on the
question whether the weights are to blame."""


UNTOLD: Final = "not told"
"""The row of what a server keeps to itself."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is compared: its name (what a user writes in ``--quant-allow``), its level and what it rules out.

    ``what`` and ``why`` are for the documentation, in Markdown.
    """

    name: str
    level: Level
    kinds: tuple[str, ...]
    what: str
    why: str


_QUALITY = ("quality",)
_TOKENS = ("distribution", "attribution")
_MACHINE = ("speed", "memory", "attribution")
_ANSWERS = ("quality", "speed", "attribution")

FILE_ROWS: Final = (
    Row(
        "architecture",
        "blocks",
        KINDS,
        "`general.architecture`, layers, widths, heads, experts, and the shapes of the tensors",
        "These are not two quantizations of one model.",
    ),
    Row(
        "vocabulary",
        "blocks",
        ("quality", *_TOKENS),
        "the tokenizer's kind, its tokens and merges",
        "These are not two quantizations of one model; token counts do not compare either.",
    ),
    Row(
        "tokenizer",
        "explains",
        _TOKENS,
        "`tokenizer.ggml.pre`, added BOS and EOS tokens, the BOS token and the other special ids but the end",
        "The same text reaches the weights as other tokens.",
    ),
    Row(
        "token types",
        "explains",
        _TOKENS,
        "the type of every token: NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE",
        "A marker of another type is hidden, shown or cut into pieces by the programs that run the file: tool calls "
        "and thoughts break while the weights are sound. Where both sides read the same token ids it only informs.",
    ),
    Row(
        "end of generation",
        "explains",
        ("attribution",),
        "the tokens that end an answer",
        "One side stops where the other goes on.",
    ),
    Row(
        "chat template",
        "explains",
        ("attribution",),
        "`tokenizer.chat_template`",
        "The same conversation reaches the weights as other text. `--quant-pin-template=baseline` renders both sides "
        "with the baseline's. Where both sides read the same token ids it only informs.",
    ),
    Row(
        "rope",
        "explains",
        _TOKENS,
        "`*.rope.*`: base frequency, scaling, YaRN",
        "Positions are read differently, above all in long prompts.",
    ),
    Row(
        "sliding window",
        "informs",
        (),
        "`*.attention.sliding_window`",
        "One side sees further back in its layers with a window.",
    ),
    Row(
        "trained context",
        "informs",
        (),
        "`*.context_length`",
        "Both sides get the same context anyway: the smaller of the two unless `--quant-ctx` says more.",
    ),
    Row(
        "sampling defaults",
        "explains",
        ("attribution",),
        "`general.sampling.*`",
        "Explains where answers are drawn with the model's own sampling (`--quant-samples`); informs where they are "
        "greedy, for then nobody reads them.",
    ),
    Row(
        "tensor types",
        "explains",
        ("attribution",),
        "the type of every tensor, the bits per weight",
        "A change may come from the format (Q8_0 against Q4_K) as well as from the recipe that made the file.",
    ),
    Row(
        "recipe",
        "informs",
        (),
        "names and tags that say QAT (trained for its quantization) on one side only",
        "The weights were trained further, so answers may differ in style as well as in quality.",
    ),
    Row(
        "imatrix",
        "informs",
        (),
        "`quantize.imatrix.*`",
        "The text that calibrated a file favours tests that resemble it.",
    ),
    Row("quantizer", "informs", (), "`general.quantized_by`", "Another person's or program's settings."),
    Row(
        "base model",
        "informs",
        (),
        "`general.base_model.*`",
        "The files say that they were made from different models or versions.",
    ),
    Row(
        "reference",
        "informs",
        (),
        "`--quant-reference` and `--quant-baseline-reference`",
        "Each side's KL divergence is from its own unquantized weights: what rounding cost each, not which is better.",
    ),
    Row(
        UNTOLD,
        "blocks",
        KINDS,
        "what a server keeps to itself: context, vocabulary, KV cache, flash attention, devices, template, types",
        "A difference in it would not be seen, so it rules out what that would: a hidden KV cache everything, a hidden "
        "template only explains. What one server decides for all of its models cannot differ between two of them.",
    ),
    Row(
        "same address",
        "informs",
        (),
        "what a server without other marks answers to fixed questions",
        "Of a recorded baseline: whether the same model still answers at its address, or another one took its place.",
    ),
    Row("same content", "informs", (), "all bytes of both files", "An A/A run: every difference is chance."),
    Row(
        "projector",
        "explains",
        ("attribution",),
        "the projectors that `--quant-mmproj` names, else `*mmproj*` files beside the model",
        "A model sees an image through its projector. One that only lies beside the model and would not fit informs.",
    ),
    Row(
        "drafter",
        "informs",
        (),
        "the draft models that `--quant-draft` names, else those (`*draft*`, `*mtp*`) beside the model",
        "A drafter with another vocabulary cannot speed the model up. It writes no answer here: it is only checked.",
    ),
)
"""What belongs to the file as shipped: but for another model altogether it never blocks the verdict on the file."""

SETTINGS_ROWS: Final = (
    Row(
        "context",
        "blocks",
        ("quality", "distribution", "speed", "memory"),
        "the context in tokens",
        "One side may have lost the beginning of a prompt, or had less room to answer.",
    ),
    Row(
        "kv cache",
        "blocks",
        KINDS,
        "the type of the KV cache",
        "A coarser cache makes answers worse whatever the weights are. Who ships a KV type together with a file allows "
        "it.",
    ),
    Row(
        "flash attention",
        "blocks",
        KINDS,
        "whether attention ran fused",
        "Other sums in another order: other logits, other speed.",
    ),
    Row(
        "sampling",
        "blocks",
        ("quality", "attribution"),
        "greedy or drawn, and the seed",
        "One side's luck would count as its quality.",
    ),
    Row("thinking", "blocks", _ANSWERS, "the thinking switch and budget", "Thinking buys quality with tokens."),
    Row(
        "silent thinking",
        "blocks",
        _QUALITY,
        "one side was asked to think and never did",
        "It answered another question than the other side. On both sides it only informs.",
    ),
    Row(
        "thinking in spite of the switch",
        "blocks",
        _QUALITY,
        "one side thought although thinking was off",
        "It answered another question than the other side. On both sides it only informs.",
    ),
    Row("max tokens", "blocks", _ANSWERS, "the token budget of an answer", "One side was cut earlier."),
    Row(
        "template in use",
        "blocks",
        ("quality", "attribution"),
        "a template that the run put in place of a file's own, on one side only",
        "The run, not the file, asked differently.",
    ),
    Row(
        "build",
        "blocks",
        ("quality", "distribution", "speed", "attribution"),
        "the build of llama.cpp and of its Python package",
        "Kernels, tokenizers and parsers change between builds.",
    ),
    Row(
        "backend",
        "blocks",
        ("quality", "distribution", "speed", "attribution"),
        "the instruction sets and devices that llama.cpp reports",
        "Other kernels: other logits, other speed.",
    ),
    Row(
        "environment",
        "blocks",
        ("quality", "distribution", "speed", "attribution"),
        "variables `GGML_*`, `OMP_*`, `GOMP_*`, `KMP_*` and the visible devices",
        "They switch kernels and threads.",
    ),
    Row("gpu layers", "blocks", _MACHINE, "the layers on the GPU", "Speed and memory are those of another machine."),
    Row("threads", "blocks", _MACHINE, "CPU threads", "Speed is that of another machine."),
    Row("batch", "blocks", _MACHINE, "tokens that are read at a time", "It sets the speed of reading and the memory."),
    Row(
        "prompt cache",
        "blocks",
        ("speed", "attribution"),
        "whether prompts were read anew",
        "A cached prompt takes no time and changes greedy answers a little.",
    ),
    Row(
        "draft model",
        "blocks",
        _MACHINE,
        "speculative decoding",
        "Speed depends on how often the draft is accepted.",
    ),
    Row("lora", "blocks", KINDS, "an adapter over the weights", "These are other weights."),
)
"""What the run did differently to the two sides: it blocks, unless allowed."""

ROWS: Final = {row.name: row for row in (*FILE_ROWS, *SETTINGS_ROWS)}
"""Every row by its name."""


@dataclass(frozen=True, slots=True)
class Difference(Record):
    """One thing that is not the same on both sides, in a sentence that a user understands.

    ``blocks``: no verdict of these ``kinds`` while it stands. ``explains``: a loss may come from this and not from the
    weights. ``informs``: worth knowing, nothing more. ``allowed``: the user said to judge in spite of it.
    """

    row: str
    level: Level
    text: str
    kinds: tuple[str, ...] = ()
    allowed: bool = False

    @property
    def word(self) -> str:
        """The level as it is shown: an allowed difference does nothing but stand there."""
        return "allowed" if self.allowed else self.level

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"kinds": tuple}


def difference(row: str, text: str, *, informs: bool = False) -> Difference:
    """A difference of the level and kinds that its row has; ``informs`` when it does no harm this time."""
    made = ROWS[row]
    return Difference(row, "informs", text) if informs else Difference(row, made.level, text, made.kinds)
