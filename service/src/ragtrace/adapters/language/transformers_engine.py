"""A Hugging Face folder, loaded: token ids in, token ids out. `transformers.py` puts it behind the port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from ragtrace.adapters.language.folder import missing_library
from ragtrace.adapters.language.prompt_templates import TURN_ENDS, apply, chatml
from ragtrace.adapters.language.tokens import Tokens
from ragtrace.adapters.language.waiting import Flow
from ragtrace.application.ports import Generation, Message
from ragtrace.errors import ConfigProblem, ModelProblem, TooLarge
from ragtrace.text import Text


class TransformersEngine:
    """The loaded model and tokenizer. Generates for one caller at a time; `Gate` sees to that."""

    def __init__(
        self,
        torch: Any,  # noqa: ANN401 - a module
        transformers: Any,  # noqa: ANN401 - a module
        path: Path,
        device: str,
        bits: int,
        threads: int,
    ) -> None:
        self._torch = torch
        self._transformers = transformers
        self._path = path
        self._tokenizing = threading.Lock()
        self.device = _device(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(threads)
        precision = self._precision(bits)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(path), local_files_only=True, trust_remote_code=False
            )
            self._model, loading = transformers.AutoModelForCausalLM.from_pretrained(
                str(path),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **precision,
            )
            if bits >= 16:
                self._model.to(self.device)
            self._model.eval()
        except Exception as error:
            raise self._problem(error) from error
        self._require_weights(loading)
        self._ends = self._turn_ends()

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's token ids."""
        import jinja2

        # Fast tokenizers are not to be used by two threads at once.
        with self._tokenizing:
            if not self._tokenizer.chat_template:
                return list(self._tokenizer.encode(chatml(messages), add_special_tokens=False))
            prompt = apply(messages, self._template, (jinja2.TemplateError, TypeError), str(self._path))
            return list(self._tokenizer.encode(prompt, add_special_tokens=False))

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens, special ones left out."""
        with self._tokenizing:
            return str(
                self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            )

    def generate(
        self, ids: list[int], generation: Generation, tokens: int, cancelled: Callable[[], bool]
    ) -> Generator[Tokens, None, None]:
        """Yield tokens as they are made. The thread has ended when this has."""
        flow: Flow[Tokens] = Flow()
        thread = threading.Thread(
            target=self._run, args=(ids, generation, tokens, flow), name="transformers", daemon=True
        )
        thread.start()
        try:
            yield from flow.read(cancelled)
        finally:
            flow.give_up()
            # The next caller's turn begins when this one's arithmetic has stopped.
            thread.join()

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        if self.device == "cuda":
            self._torch.cuda.empty_cache()

    def _template(self, messages: list[dict[str, str]]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        )

    def _run(self, ids: list[int], generation: Generation, tokens: int, flow: Flow[Tokens]) -> None:
        torch = self._torch
        streamer = _Streamer(flow)
        try:
            prompt = torch.tensor([ids], device=self.device)
            with torch.inference_mode(), torch.random.fork_rng(enabled=generation.seed is not None):
                if generation.seed is not None:
                    torch.manual_seed(generation.seed)
                self._model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    generation_config=self._config(generation, tokens),
                    streamer=streamer,
                    stopping_criteria=self._transformers.StoppingCriteriaList([streamer.unwanted]),
                )
            flow.put(
                Tokens((), "stop" if streamer.last in self._ends or streamer.made < tokens else "length")
            )
            flow.end()
        except torch.OutOfMemoryError as error:
            flow.fail(self._too_much(len(ids), error))
        except Exception as error:  # noqa: BLE001 - the reader in the other thread raises it
            flow.fail(self._problem(error))

    def _config(self, generation: Generation, tokens: int) -> Any:  # noqa: ANN401 - of an untyped library
        sampling: dict[str, Any] = {"do_sample": False}
        if generation.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": generation.temperature,
                "top_p": generation.top_p,
                "top_k": 0,
            }
        ends = sorted(self._ends)
        return self._transformers.GenerationConfig(
            max_new_tokens=tokens,
            eos_token_id=ends,
            pad_token_id=ends[0] if ends else 0,
            use_cache=True,
            **sampling,
        )

    def _precision(self, bits: int) -> dict[str, Any]:
        torch = self._torch
        if bits == 32:
            return {"dtype": torch.float32}
        half = torch.float16 if self.device == "mps" else torch.bfloat16
        if bits == 16:
            # Without its own instructions a processor computes bfloat16 slower than float32.
            return {"dtype": half if self.device != "cpu" or _fast_bfloat16(torch) else torch.float32}
        try:
            import bitsandbytes  # noqa: F401 - transformers imports it by itself, and explains less
        except ImportError as error:
            raise missing_library("bitsandbytes", "torch", error) from error
        chosen = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": half}
        config = self._transformers.BitsAndBytesConfig(**(chosen if bits == 4 else {"load_in_8bit": True}))
        return {"dtype": half, "quantization_config": config, "device_map": {"": self.device}}

    def _require_weights(self, loading: dict[str, Any]) -> None:
        """Raise `ModelProblem` where weights are missing or of another shape: the library draws them at random."""
        wrong = sorted({*map(str, loading["missing_keys"]), *map(str, loading["mismatched_keys"])})
        if wrong:
            raise self._problem(ValueError(f"no weights for {', '.join(wrong[:5])}"))

    def _turn_ends(self) -> set[int]:
        found: set[int] = set()
        for ends in (self._model.generation_config.eos_token_id, self._tokenizer.eos_token_id):
            if ends is not None:
                found |= {ends} if isinstance(ends, int) else set(ends)
        vocabulary = self._tokenizer.get_vocab()
        # The folder's own sampling is not ours: what is asked for counts.
        self._model.generation_config = self._transformers.GenerationConfig()
        return found | {int(vocabulary[mark]) for mark in TURN_ENDS if mark in vocabulary}

    def _too_much(self, prompt: int, error: Exception) -> TooLarge:
        return TooLarge(
            Text(
                f"프롬프트 {prompt}토큰에 장치의 메모리가 모자랍니다.",
                f"The device is short of memory for a prompt of {prompt} tokens.",
            ),
            where=str(error)[:200],
            hint=Text(
                "language.context_tokens나 language.bits를 줄이십시오.",
                "Lower language.context_tokens or language.bits.",
            ),
        )

    def _problem(self, error: Exception) -> ModelProblem:
        return ModelProblem(
            Text(
                "transformers가 언어 모델을 쓰지 못했습니다.",
                "transformers could not use the language model.",
            ),
            where=f"{self._path}: {type(error).__name__}: {' '.join(str(error).split())[:400]}",
            hint=Text(
                "폴더가 온전한지, 메모리가 충분한지 확인하십시오.",
                "Check that the folder is whole and that there is enough memory.",
            ),
        )


class _Streamer:
    """Takes tokens from `generate`: first the prompt, then one at a time."""

    def __init__(self, flow: Flow[Tokens]) -> None:
        self._flow = flow
        self._prompt_seen = False
        self.made = 0
        self.last = -1

    def put(self, value: Any) -> None:  # noqa: ANN401 - a tensor
        """Hand a token over."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        ids = [int(each) for each in value.flatten().tolist()]
        self.made += len(ids)
        self.last = ids[-1]
        self._flow.put(Tokens(ids))

    def end(self) -> None:
        """Do nothing: why it ended is known outside."""

    def unwanted(self, input_ids: Any, scores: Any, **_: Any) -> Any:  # noqa: ANN401 - tensors
        """Say for each row whether to stop now."""
        return input_ids.new_full((input_ids.shape[0],), self._flow.unwanted).bool()


def _device(torch: Any, wanted: str) -> str:  # noqa: ANN401 - a module
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise ConfigProblem(
            Text(f"이 기계에 '{wanted}' 장치가 없습니다.", f"This machine has no device '{wanted}'."),
            where="language.device",
        )
    return wanted


def _fast_bfloat16(torch: Any) -> bool:  # noqa: ANN401 - a module
    """Say whether the processor has instructions for bfloat16."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported()) if supported is not None else False
