"""llama.cpp's lines on its buffers: added up by device and purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.engines.buffers import BufferLog
from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import together

MIB = 1 << 20

CPU = """\
load_tensors:   CPU_Mapped model buffer size =     1.42 MiB
load_tensors:   CPU_REPACK model buffer size =     1.48 MiB
llama_context:        CPU  output buffer size =     0.01 MiB
llama_kv_cache:        CPU KV buffer size =     2.00 MiB
llama_kv_cache: size =    2.00 MiB (  1024 cells,   4 layers,  1/1 seqs), K (f16):    1.00 MiB, V (f16):    1.00 MiB
sched_reserve:        CPU compute buffer size =     5.51 MiB
"""
GPU = """\
load_tensors:   CPU_Mapped model buffer size =   525.00 MiB
load_tensors:        CUDA0 model buffer size = 14000.50 MiB
llama_context:  CUDA_Host  output buffer size =     1.00 MiB
llama_kv_cache_iswa: creating non-SWA KV cache, size = 32768 cells
llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB
llama_kv_cache_iswa: creating     SWA KV cache, size = 1536 cells
llama_kv_cache:      CUDA0 KV buffer size =   120.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =     3.00 MiB
sched_reserve:      CUDA0 compute buffer size =   300.00 MiB
sched_reserve:  CUDA_Host compute buffer size =    80.00 MiB
sched_reserve:      CUDA0 compute buffer size =   310.00 MiB
"""


def read(text: str) -> BufferLog:
    log = BufferLog()
    for line in text.splitlines(keepends=True):
        log.feed(line)
    return log


def bytes_of(mebibytes: float) -> int:
    return round(mebibytes * MIB)


def test_a_processor_that_lays_weights_out_anew() -> None:
    log = read(CPU)

    assert log.devices() == {
        "CPU": Buffers(bytes_of(1.42) + bytes_of(1.48), 2 * MIB, bytes_of(5.51), bytes_of(0.01), bytes_of(1.48))
    }
    assert (log.cache, log.mapped, log.unused) == (2 * MIB, True, 0)


def test_two_devices_two_caches_and_memory_of_the_host() -> None:
    assert read(GPU).devices() == {
        "CPU": Buffers(525 * MIB, 0, 80 * MIB, MIB, 0),
        "CUDA0": Buffers(bytes_of(14000.5), 635 * MIB, 310 * MIB, 0, 0),
    }


def test_compute_buffers_that_are_reserved_anew_count_once() -> None:
    assert read(CPU + CPU.splitlines()[-1]).devices()["CPU"].compute == bytes_of(5.51)


def test_other_states_are_a_cache_and_adapters_are_nobodys() -> None:
    log = read(
        "llama_kv_cache_dsv4:      CUDA0 DSV4 csa state buffer size =     7.00 MiB\n"
        "llama_adapter_lora_init:      CUDA0 LoRA buffer size =     9.00 MiB\n"
    )

    assert log.devices() == {"CUDA0": Buffers(0, 7 * MIB, 0, 0, 0)}


def test_tensors_that_nobody_uses_are_counted() -> None:
    line = "model has unused tensor blk.46.attn_q.weight (size = 1048576 bytes) -- ignoring\n"

    assert read(line * 2).unused == 2 * MIB


def test_what_resembles_a_buffer_is_none() -> None:
    log = read(
        "load: special tokens cache size = 7\n"
        "load: token to piece cache size = 0.0057 MB\n"
        "llama_context:        CPU compute buffer size is   5.5100 MiB, matches expectation of   5.5100 MiB\n"
        "sched_reserve: graph nodes  = 144, buffer size\n"
    )

    assert (log.devices(), log.cache) == ({}, 0)


names = st.sampled_from(["CPU", "CPU_Mapped", "CPU_REPACK", "CUDA0", "CUDA1", "CUDA_Host", "Vulkan0", "Metal_Mapped"])
purposes = st.sampled_from(["model", "KV", "RS", "output"])
sizes = st.integers(0, 10**7).map(lambda hundredths: hundredths / 100)


@given(st.lists(st.tuples(names, purposes, sizes), max_size=12), st.booleans())
def test_every_byte_is_counted_once_in_one_message_or_in_many(
    lines: list[tuple[str, str, float]], at_once: bool
) -> None:
    text = "".join(f"f: {name:>10} {purpose} buffer size = {size:8.2f} MiB\n" for name, purpose, size in lines)
    log = BufferLog()
    for message in [text] if at_once else text.splitlines(keepends=True):
        log.feed(message)

    said = together(log.devices().values())

    assert said.total == sum(bytes_of(size) for _, _, size in lines)
    assert said.weights == sum(bytes_of(size) for _, purpose, size in lines if purpose == "model")


@given(st.text())
def test_no_text_upsets_it(text: str) -> None:
    read(text)
    read(f"x: CPU {text} buffer size = 1.00 MiB")


def test_what_nobody_knows_stays_unknown_in_a_sum() -> None:
    assert together([Buffers(1, None), Buffers(2, 5, 7)]) == Buffers(3, 5, 7, None, None)
    assert Buffers(3, None, 4).total == 7
    assert Buffers(3, None, 4).unknown == ("kv", "output")
