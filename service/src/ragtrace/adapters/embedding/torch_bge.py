"""BGE-M3 on torch (Chen et al. 2024, "M3-Embedding", section 3): three outputs from one pass, both heads required."""

from __future__ import annotations

from typing import Any

from ragtrace.adapters.embedding import torch_encoder
from ragtrace.adapters.embedding.engine import Ids, Raw
from ragtrace.adapters.embedding.folder import HEADS, missing
from ragtrace.adapters.embedding.torch_engine import TorchEngine
from ragtrace.application.ports.embedding import Output


class TorchBge(TorchEngine):
    """The encoder with the heads for token weights and ColBERT rows."""

    _sparse: Any = None
    _colbert: Any = None

    def load(self) -> None:
        """Load encoder and heads. Raises `ModelProblem` where a head is missing: it would be random numbers."""
        for name in HEADS:
            if name not in self._folder.heads:
                raise missing(self._folder.path / f"{name}.safetensors")
        super().load()
        self._sparse = self._head("sparse_linear", 1)
        self._colbert = self._head("colbert_linear", self._folder.dimension)

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the outputs asked for."""
        torch, _ = torch_encoder.libraries()
        normalise = torch.nn.functional.normalize
        found: dict[str, Any] = {}
        try:
            with torch.inference_mode():
                hidden, real = self.states(ids, mask)
                if "dense" in outputs:
                    found["dense"] = normalise(hidden[:, 0], dim=-1)
                if "sparse" in outputs:
                    found["sparse"] = torch.relu(self._sparse(hidden)).squeeze(-1) * real
                if "colbert" in outputs:
                    found["colbert"] = normalise(self._colbert(hidden[:, 1:]), dim=-1)
                return Raw(**{name: value.cpu().numpy() for name, value in found.items()})
        except RuntimeError as error:
            raise self.failed(error, ids) from error

    def close(self) -> None:
        """Give the weights back."""
        self._sparse = self._colbert = None
        super().close()

    def _head(self, name: str, width: int) -> Any:  # noqa: ANN401  torch.nn.Linear
        torch, _ = torch_encoder.libraries()
        file = self._folder.heads[name]
        head = torch.nn.Linear(self._folder.dimension, width, device="meta")
        torch_encoder.fill(head, torch_encoder.tensors(file), str(file))
        return self.to_device(head)
