"""llama-server, vLLM and any other one that speaks OpenAI's protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.base import Body
from tests.fakes.base import Fake
from tests.fakes.base import Says
from tests.fakes.base import Script
from tests.fakes.base import sse
from tests.fakes.base import tokens_of
from tests.fakes.base import words_of

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)


class OpenAi(Fake):
    """Nothing but OpenAI's protocol.

    :param field: where the thought comes: a field's name, 'inline', or 'hidden'.
    """

    owner = "somebody"
    counts_end = True

    def __init__(self, script: Script, *, field: str = "inline", usage: bool = True, **more: Any) -> None:
        super().__init__(script, **more)
        self.field = field
        self.usage = usage
        self.says_it_is = ""

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": [self.entry]}
        return super().get(path)

    @property
    def entry(self) -> Body:
        """The model as it is listed."""
        return {"id": self.model, "object": "model", "owned_by": self.owner}

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        if path == "/v1/chat/completions":
            return self.chat(body)
        return super().post(path, body)

    def chat(self, body: Body) -> tuple[int, Any] | Iterator[str]:
        """A streamed answer."""
        assert body["stream"] is True
        if body["model"] != self.model:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}
        says, finish, reported = self.script(words_of(body["messages"])).cut(body["max_tokens"])
        events: list[Body] = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]}]
        events += [{"choices": [{"index": 0, "delta": delta}]} for delta in self.deltas(says, body)]
        reason = "tool_calls" if says.calls and finish == "stop" and self.field != "inline" else finish
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if self.usage and body.get("stream_options", {}).get("include_usage"):
            prompt = len(tokens_of(self.rendered(body)))
            usage = {"prompt_tokens": prompt, "completion_tokens": reported, "total_tokens": prompt + reported}
            events.append({"choices": [], "usage": usage} | self.timings(prompt, reported))
        name = self.says_it_is or self.model
        return sse({"id": "c", "object": "chat.completion.chunk", "model": name} | event for event in events)

    def deltas(self, says: Says, body: Body) -> Iterator[Body]:
        """A delta a token."""
        del body
        if self.field == "inline":
            yield from ({"content": token} for token in says.raw)
            return
        if self.field != "hidden":
            yield from ({self.field: token} for token in says.thought)
        yield from ({"content": token} for token in says.text)
        for index, (name, arguments) in enumerate(says.calls):
            text = json.dumps(arguments)
            head = {"index": index, "id": f"call{index}", "type": "function"}
            yield {"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]}
            for at in range(0, len(text), 5):
                yield {"tool_calls": [{"index": index, "function": {"arguments": text[at : at + 5]}}]}

    def rendered(self, body: Body) -> str:
        """What the model reads."""
        turns = "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in body["messages"])
        off = body.get("chat_template_kwargs", {}).get("enable_thinking") is False
        return f"{turns}<|im_start|>assistant\n" + ("<think></think>" if off else "")

    def timings(self, prompt: int, written: int) -> Body:
        """What else the last chunk says."""
        del prompt, written
        return {}


class LlamaServer(OpenAi):
    """llama-server: with ``reasoning_format: none`` the text comes as the model wrote it."""

    owner = "llamacpp"

    def __init__(self, script: Script, *, context: int = 4096, template: str = TEMPLATE, **more: Any) -> None:
        super().__init__(script, **{"field": "reasoning_content"} | more)
        self.context = context
        self.template = template
        self.loading = 0
        self.busy = False
        self.kept = 0

    def get(self, path: str) -> tuple[int, Any]:
        if self.loading > 0:
            self.loading -= 1
            return 503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
        if path == "/slots":
            return 200, [{"id": 0, "is_processing": self.busy}]
        if path == "/props":
            return 200, {
                "default_generation_settings": {"n_ctx": self.context, "params": {"temperature": 0.8}},
                "total_slots": 1,
                "model_path": f"/models/{self.model}",
                "chat_template": self.template,
                "bos_token": "<s>",
                "eos_token": "<|im_end|>",
                "build_info": "b10000-abcdef",
            }
        return super().get(path)

    @property
    def entry(self) -> Body:
        meta = {"n_vocab": 1536, "n_ctx_train": 32768, "n_embd": 256, "n_params": 1000, "size": 562}
        return super().entry | {"aliases": ["tiny-alias"], "meta": meta}

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        if path == "/completion":
            read, written = len(body["prompt"]) - self.kept, body["n_predict"]
            self.kept = len(body["prompt"]) if body["cache_prompt"] and body["n_predict"] == 1 else 0
            times = {
                "prompt_n": read,
                "prompt_ms": 10.0 * read,
                "predicted_n": written,
                "predicted_ms": 20.0 * (written - 1),
            }
            return 200, {"content": "", "timings": times}
        if path == "/apply-template":
            return 200, {"prompt": self.rendered(body)}
        if path == "/tokenize":
            return 200, {"tokens": tokens_of(body["content"])}
        return super().post(path, body)

    def deltas(self, says: Says, body: Body) -> Iterator[Body]:
        if body.get("reasoning_format") == "none":
            yield from ({"content": token} for token in Says(says.thought, says.text).raw)
            yield from (one for one in super().deltas(Says(calls=says.calls), body))
        else:
            yield from super().deltas(says, body)

    def timings(self, prompt: int, written: int) -> Body:
        numbers = {"cache_n": 0, "prompt_n": prompt, "prompt_ms": 1.0, "predicted_n": written, "predicted_ms": 2.0}
        return {"timings": numbers}


class Vllm(OpenAi):
    """vLLM: it refuses a budget that does not fit, and its last chunk holds the usage and no choices."""

    owner = "vllm"

    def __init__(self, script: Script, *, context: int = 4096, opens: bool = False, **more: Any) -> None:
        super().__init__(script, **{"field": "reasoning"} | more)
        self.context = context
        self.opens = opens
        self.words: dict[int, str] = {}
        self.others = 0
        """Requests of others that run meanwhile."""
        self.done = [0, 0.0, 0.0, 0.0]
        """Requests, and seconds of reading, of writing and to the first token."""
        self.measures = True

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"version": "0.19.0"}
        if path == "/metrics" and self.measures:
            return 200, self._metrics()
        return super().get(path)

    @property
    def entry(self) -> Body:
        return super().entry | {"root": "org/tiny", "parent": None, "max_model_len": self.context}

    def rendered(self, body: Body) -> str:
        off = body.get("chat_template_kwargs", {}).get("enable_thinking") is False
        return super().rendered(body) + ("<think>\n" if self.opens and not off else "")

    def post(self, path: str, body: Body) -> tuple[int, Any] | Iterator[str]:
        if path == "/tokenize":
            text = body["prompt"] if "prompt" in body else self.rendered(body)
            tokens = tokens_of(text)
            self.words[sum(tokens)] = text
            return 200, {"count": len(tokens), "max_model_len": self.context, "tokens": tokens}
        if path == "/detokenize":
            return 200, {"prompt": self.words[sum(body["tokens"])]}
        if path == "/v1/completions" and "prompt_logprobs" in body:
            ids = body["prompt"]
            rows = [None, *({str(one): {"logprob": -(one % 7) / 8, "rank": 1}} for one in ids[1:])]
            return 200, {"choices": [{"text": "x", "prompt_logprobs": rows}]}
        if path == "/v1/completions" and body.get("ignore_eos"):
            read, written = len(body["prompt"]), body["max_tokens"]
            assert body["min_tokens"] == written
            self.done[0] += 1 + self.others
            for at, seconds in enumerate((0.01 * read, 0.02 * (written - 1), 0.012 * read), 1):
                self.done[at] += seconds
            return 200, {"choices": [{"text": "x", "finish_reason": "length"}]}
        return super().post(path, body)

    def _metrics(self) -> bytes:
        count, prefill, decode, first = self.done
        label = f'{{engine="0",model_name="{self.model}"}}'
        lines = [
            "# HELP vllm:num_requests_running Number of requests in model execution batches.",
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{label} {float(self.others if self.others > 1 else 0)}",
            f"vllm:num_requests_waiting{label} 0.0",
            f'vllm:request_decode_time_seconds_bucket{{engine="0",le="0.3",model_name="{self.model}"}} 5.0',
            f"vllm:request_decode_time_seconds_count{label} {float(count)}",
            f"vllm:request_decode_time_seconds_sum{label} {decode}",
            f"vllm:request_prefill_time_seconds_sum{label} {prefill}",
            f"vllm:time_to_first_token_seconds_sum{label} {first:e}",
            "process_cpu_seconds_total 3.5",
        ]
        return "\n".join(lines).encode()

    def chat(self, body: Body) -> tuple[int, Any] | Iterator[str]:
        prompt = len(tokens_of(self.rendered(body)))
        if prompt + body["max_tokens"] > self.context:
            words = f"This model's maximum context length is {self.context} tokens."
            return 400, {"error": {"message": words, "type": "BadRequestError", "code": 400}}
        return super().chat(body)

    def deltas(self, says: Says, body: Body) -> Iterator[Body]:
        if self.opens and self.field == "inline":  # the prompt opened the thought
            yield from ({"content": token} for token in says.thought)
            if says.text or says.calls or body["max_tokens"] > len(says.thought) + 2:
                yield {"content": "</think>"}
            says = Says((), says.text, says.calls)
        yield from super().deltas(says, body)
