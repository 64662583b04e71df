"""Other encoders on torch, dense vectors only, pooled as sentence-transformers' files say."""

from __future__ import annotations

from ragtrace.adapters.embedding import torch_encoder
from ragtrace.adapters.embedding.engine import Ids, Raw
from ragtrace.adapters.embedding.torch_engine import TorchEngine
from ragtrace.application.ports.embedding import Output


class TorchDense(TorchEngine):
    """The encoder, and CLS or the mean over real tokens."""

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the dense vectors."""
        torch, _ = torch_encoder.libraries()
        try:
            with torch.inference_mode():
                hidden, real = self.states(ids, mask)
                if self._folder.pooling == "cls":
                    vectors = hidden[:, 0]
                else:
                    weights = real[..., None].float()
                    vectors = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
                vectors = torch.nn.functional.normalize(vectors, dim=-1)
                return Raw(dense=vectors.cpu().numpy())
        except RuntimeError as error:
            raise self.failed(error, ids) from error
