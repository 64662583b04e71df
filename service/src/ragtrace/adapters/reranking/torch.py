"""A cross-encoder on torch: the encoder, then dense, tanh and one output over the first token, as RoBERTa classifies."""

from __future__ import annotations

from typing import Any

from ragtrace.adapters.embedding import torch_encoder
from ragtrace.adapters.embedding.engine import Floats, Ids
from ragtrace.adapters.embedding.torch_engine import TorchEngine

_HEAD = "classifier."


class TorchCross(TorchEngine):
    """The encoder in half or full precision, its head in float32."""

    _head: Any = None

    def load(self) -> None:
        """Load encoder and head. Raises `ModelProblem` where a tensor is missing: it would be random numbers."""
        super().load()
        torch, _ = torch_encoder.libraries()
        size = self._folder.dimension
        with torch.device("meta"):
            head = torch.nn.ModuleDict(
                {"dense": torch.nn.Linear(size, size), "out_proj": torch.nn.Linear(size, 1)}
            )
        given: dict[str, Any] = {}
        for file in self._folder.weights:
            for name, tensor in torch_encoder.tensors(file).items():
                if name.startswith(_HEAD):
                    given[name.removeprefix(_HEAD)] = tensor
        torch_encoder.fill(head, given, str(self._folder.path))
        self._head = self.to_device(head)

    def logits(self, ids: Ids, mask: Ids) -> Floats:
        """Return one logit for each pair."""
        torch, _ = torch_encoder.libraries()
        try:
            with torch.inference_mode():
                hidden, _real = self.states(ids, mask)
                scores = self._head["out_proj"](torch.tanh(self._head["dense"](hidden[:, 0])))
                found: Floats = scores[:, 0].cpu().numpy()
                return found
        except RuntimeError as error:
            raise self.failed(error, ids) from error

    def close(self) -> None:
        """Give the weights back."""
        self._head = None
        super().close()
