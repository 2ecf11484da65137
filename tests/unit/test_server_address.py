"""What is an address of a server, what stays a file, and what is neither."""

from __future__ import annotations

import string

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.engines.server.address import PORTS
from pytest_quantcheck.engines.server.address import Address
from pytest_quantcheck.engines.server.address import AddressError
from pytest_quantcheck.engines.server.address import parse_address

HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z][a-z0-9]{0,4}){0,2}", fullmatch=True),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "[fe80::1:2]"]),
)
PLACES = st.builds(lambda host, port: f"{host}:{port}", HOSTS, st.integers(1, 65535))
NAMES = st.text(string.ascii_letters + string.digits + "._:/-", min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("http://localhost:8080#gemma", Address("http://localhost:8080", "gemma")),
        ("http://localhost:8080", Address("http://localhost:8080")),
        ("http://localhost:8080/#", Address("http://localhost:8080")),
        ("https://gpu.example.com/llm/v1/#org/name", Address("https://gpu.example.com/llm", "org/name")),
        ("HTTP://Box:1", Address("http://box:1")),
        (f"http://{'a' * 63}.b.", Address(f"http://{'a' * 63}.b.")),
        ("http://[::1]:8080#m", Address("http://[::1]:8080", "m")),
        ("http://host:1#gemma4:12b-qat", Address("http://host:1", "gemma4:12b-qat")),
        ("http://host:1#a%20b", Address("http://host:1", "a b")),
        ("ollama:gemma4:12b-qat", Address("http://localhost:11434", "gemma4:12b-qat")),
        ("ollama:hf.co/user/repo:Q4_K_M@box:1234", Address("http://box:1234", "hf.co/user/repo:Q4_K_M")),
        ("ollama:gemma4@box", Address("http://box:11434", "gemma4")),
        ("vllm:", Address("http://localhost:8000")),
        ("vllm:org/name@[::1]", Address("http://[::1]:8000", "org/name")),
        ("vllm:org@x/name", Address("http://localhost:8000", "org@x/name")),
        ("vllm:org@x/name@box", Address("http://box:8000", "org@x/name")),
        ("vllm:a%40b:c", Address("http://localhost:8000", "a@b:c")),
        ("http://host:1#a%40b", Address("http://host:1", "a@b")),
        ("http://host#a@b", Address("http://host", "a@b")),
        ("llama-server:", Address("http://localhost:8080")),
        ("llama-server:@10.0.0.2:9090", Address("http://10.0.0.2:9090")),
        ("llama-swap:qat@box:9292", Address("http://box:9292", "qat")),
    ],
)
def test_addresses(source: str, expected: Address) -> None:
    assert parse_address(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "model.gguf",
        r"C:\models\gemma.gguf",
        "C:/models/gemma.gguf",
        "models/a#b.gguf",
        "a:b.gguf",
        "./ollama:x.gguf",
        "http.gguf",
        "httpd:x",
        "ollama",
        "Ollama:x",
        "/data/vllm:x.gguf",
        "",
    ],
)
def test_files_stay_files(source: str) -> None:
    assert parse_address(source) is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("http://", "is no address of a server; http://host:port#model"),
        ("http:host", "is no address of a server"),
        ("https:///v1#m", "is no address of a server"),
        ("http://host:99999", "is no address of a server (Port out of range 0-65535)"),
        ("http://host:port#model", "is no address of a server (Port could not be cast"),
        ("http://host:0", "is no address of a server"),
        ("http://a..b", "'http://a..b' is no address of a server"),
        (f"http://{'a' * 64}.b", "is no address of a server"),
        ("http://a b:1", "is no address of a server"),
        ("http://[::1", "is no address of a server (Invalid IPv6 URL)"),
        ("http://host:1#a\x1b[31m", "is no address of a server"),
        ("ollama:", "'ollama:' names no model: ollama:NAME"),
        ("llama-swap:@box", "names no model: llama-swap:NAME"),
        ("vllm:m@box:70000", "'vllm:m@box:70000' is no address of a server"),
        ("http://user:canary@host:1#m", "QUANTCHECK_API_KEY takes the key"),
        ("http://host:1/v1?key=canary", "QUANTCHECK_API_KEY takes the key"),
        ("http://canary@host", "QUANTCHECK_API_KEY takes the key"),
        ("http://user:123/canary@host", "QUANTCHECK_API_KEY takes the key"),
        ("http://user:canary#x@host:80", "QUANTCHECK_API_KEY takes the key"),
        ("http://user:canary?x@host:80", "QUANTCHECK_API_KEY takes the key"),
        ("http://host:x?key=canary", "QUANTCHECK_API_KEY takes the key"),
        ("http://[user:canary@host", "QUANTCHECK_API_KEY takes the key"),
        ("vllm:m@user:canary@host", "QUANTCHECK_API_KEY takes the key"),
        ("ollama:m@user:canary", "QUANTCHECK_API_KEY takes the key"),
        ("vllm:@user:canary/x@host:80", "an '@' in a model's name can be written %40"),
    ],
)
def test_neither_is_one_clear_line_that_shows_no_key(source: str, why: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(source)

    assert why in str(caught.value)
    assert "canary" not in str(caught.value)
    assert str(caught.value).isprintable()


@given(PLACES, NAMES, st.sampled_from(["http", "https"]), st.sampled_from(["", "/v1", "/v1/", "/proxy", "/proxy/v1"]))
def test_what_is_written_is_read_back(place: str, name: str, scheme: str, path: str) -> None:
    address = parse_address(f"{scheme}://{place}{path}#{name}")

    assert address is not None
    assert address.model == name
    assert address.place.startswith(place)
    assert not address.url.endswith(("/", "/v1"))
    assert parse_address(str(address)) == address


@given(st.sampled_from(sorted(PORTS)), NAMES, st.one_of(st.none(), PLACES, HOSTS))
def test_shorthands(word: str, name: str, place: str | None) -> None:
    address = parse_address(f"{word}:{name}" + (f"@{place}" if place else ""))

    assert address is not None
    assert address.model == name
    place = place or "localhost"
    has_port = ":" in place.rpartition("]")[2]
    assert address.url == f"http://{place if has_port else f'{place}:{PORTS[word]}'}"


@given(st.text())
@example("http://[")
@example("http://\u2100")
@example("ollama:x\x00")
def test_any_text_is_a_file_an_address_or_one_clear_line(source: str) -> None:
    lines: list[str] = []
    address = None
    try:
        address = parse_address(source)
    except AddressError as error:
        lines.append(str(error))

    assert all(line.isprintable() for line in lines)
    begins = source.lower().startswith(("http:", "https:")) or source.startswith(tuple(f"{word}:" for word in PORTS))
    assert begins == (address is not None or bool(lines))
