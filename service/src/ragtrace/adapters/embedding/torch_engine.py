"""What the engines on torch have in common: device, precision, the encoder's states."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ragtrace.adapters.embedding import torch_encoder
from ragtrace.adapters.embedding.engine import LEAST_COSINE, Ids
from ragtrace.adapters.embedding.folder import ModelFolder
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# What ``auto`` means: half precision is what CUDA and MPS are fast in and what BGE-M3 was trained in.
_PRECISION = {"cuda": "fp16", "mps": "fp16", "cpu": "fp32"}
_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TorchEngine:
    """An encoder on one device. Its heads, where it has some, compute in float32 from the encoder's states.

    Args:
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``; of the encoder.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: of torch in this process; on a processor only.
    """

    def __init__(self, folder: ModelFolder, precision: str, device: str, threads: int) -> None:
        self._folder = folder
        self._wanted = (precision, device)
        self._threads = threads
        self._chosen: tuple[str, str] | None = None
        self._encoder: Any = None

    @property
    def name(self) -> str:
        """Return ``torch-`` and the precision; the device does not change what vectors mean."""
        return f"torch-{self._choice()[0]}"

    @property
    def least_cosine(self) -> float:
        """Return how near golden vectors have to be."""
        return LEAST_COSINE[self._choice()[0]]

    @property
    def enough_tokens(self) -> int:
        """Return more than any cap: an accelerator gains from whatever fits."""
        return sys.maxsize

    def digest(self) -> str:
        """Return the digest of weights, heads, configuration and tokenizer."""
        heads: list[Path] = [self._folder.heads[name] for name in sorted(self._folder.heads)]
        return self._folder.digest([*self._folder.weights, *heads])

    def load(self) -> None:
        """Load the encoder. Raises `ModelProblem`."""
        torch, _ = torch_encoder.libraries()
        precision, device = self._choice()
        if device == "cpu":
            torch.set_num_threads(self._threads)
        encoder = torch_encoder.build(self._folder)
        self._encoder = self._moved(encoder, device, getattr(torch, _TYPES[precision]))

    def close(self) -> None:
        """Give the weights back."""
        self._encoder = None
        if self._chosen and self._chosen[1] == "cuda":
            torch_encoder.libraries()[0].cuda.empty_cache()

    def states(self, ids: Ids, mask: Ids) -> tuple[Any, Any]:
        """Return the last layer's states in float32 and the mask, both on the device; inside `inference_mode`."""
        torch, _ = torch_encoder.libraries()
        encoder = self._encoder
        if encoder is None:
            raise ModelProblem(
                Text("모델이 닫혔습니다.", "The model was closed."), where=str(self._folder.path)
            )
        device = self._choice()[1]
        tokens = torch.from_numpy(ids).to(device)
        real = torch.from_numpy(mask).to(device)
        hidden = encoder(input_ids=tokens, attention_mask=real).last_hidden_state
        return hidden.float(), real

    def failed(self, error: RuntimeError, ids: Ids) -> ModelProblem:
        """Return the error for a pass that did not end: mostly memory."""
        said = (str(error).strip().splitlines() or [""])[0][:300]
        return ModelProblem(
            Text("임베딩을 계산하지 못했습니다.", "The embeddings could not be computed."),
            where=f"{self._folder.path}: {ids.shape[0]} x {ids.shape[1]}: {type(error).__name__}: {said}",
            hint=Text(
                "메모리가 모자라면 embedding.batch_tokens나 max_tokens를 줄이십시오.",
                "Short of memory, lower embedding.batch_tokens or max_tokens.",
            ),
        )

    def to_device(self, module: Any) -> Any:  # noqa: ANN401  torch.nn.Module
        """Return a head on the device."""
        torch, _ = torch_encoder.libraries()
        return self._moved(module, self._choice()[1], torch.float32)

    def _moved(self, module: Any, device: str, kind: Any) -> Any:  # noqa: ANN401
        try:
            return module.to(device=device, dtype=kind).eval().requires_grad_(False)
        except RuntimeError as error:
            raise ModelProblem(
                Text(f"모델을 {device}에 올리지 못했습니다.", f"The model could not be put on {device}."),
                where=(str(error).strip().splitlines() or [""])[0][:300],
            ) from error

    def _choice(self) -> tuple[str, str]:
        """Return precision and device."""
        if self._chosen is None:
            torch, _ = torch_encoder.libraries()
            precision, device = self._wanted
            device = torch_encoder.choose_device(torch, device)
            if precision == "auto":
                precision = _PRECISION[device]
            self._chosen = (precision, device)
        return self._chosen
