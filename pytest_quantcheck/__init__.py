"""Quantization regression testing of local language models: a pytest plugin.

The public names are what tests and conftest files use; the plugin itself is ``pytest_quantcheck.plugin``.
"""

from __future__ import annotations

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.checks.expected import about
from pytest_quantcheck.checks.expected import anyof
from pytest_quantcheck.checks.expected import anything
from pytest_quantcheck.checks.expected import matching
from pytest_quantcheck.checks.expected import optional
from pytest_quantcheck.checks.expected import unordered
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import EngineHung
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.items import quant_items
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.records import Verdict

__all__ = [
    "Bench",
    "BenchRequest",
    "Buffers",
    "ChatRequest",
    "Choice",
    "ChoiceRequest",
    "CompletionRequest",
    "Duel",
    "EmbeddingRequest",
    "Embeddings",
    "Engine",
    "EngineCannot",
    "EngineDied",
    "EngineError",
    "EngineHung",
    "EngineRefused",
    "Fidelity",
    "GrammarCost",
    "Memory",
    "MemoryRequest",
    "Observation",
    "Probe",
    "Reply",
    "Role",
    "Score",
    "ScriptedEngine",
    "Status",
    "ToolCall",
    "Verdict",
    "about",
    "anyof",
    "anything",
    "matching",
    "optional",
    "quant_items",
    "unordered",
]
