"""A stand-in for xllamacpp in an environment: its model is a JSON file with what follows each prompt."""

from __future__ import annotations

import json
from typing import Any


class _Anything:
    """Parameters: every name may be set, and further ones asked for."""

    def __getattr__(self, name: str) -> _Anything:
        made = _Anything()
        setattr(self, name, made)
        return made


class CommonParams(_Anything):
    """The library's own name."""


class Server:
    """Answers from the file; raises as the library does for one that it cannot read."""

    def __init__(self, params: Any) -> None:
        with open(params.model.path, "rb") as stream:
            if stream.read(4) != b"GGUF":
                raise RuntimeError("failed to load model")
            self._said = json.loads(stream.read())

    def handle_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAI-style answer with its probabilities."""
        length, tokens = self._said[request["prompt"]]
        content = [
            {
                "id": number,
                "bytes": list(text.encode()),
                "top_logprobs": [{"id": number, "logprob": logprob}]
                + [{"id": each, "logprob": logprob - behind} for each, behind in beside],
            }
            for number, text, logprob, beside in tokens[: request["n_predict"]]
        ]
        return {"choices": [{"logprobs": {"content": content}}], "usage": {"prompt_tokens": length}}
