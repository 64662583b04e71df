"""A tiny Llama that says something known: the same weights as a safetensors folder and as a GGUF file.

The architecture is Llama's, whole. Attention and feed-forward are near zero, so the next token depends on the last one
alone, and `lm_head` says which: whoever ends a prompt with `ASK` is told `ANSWER` and the end, or, where a grammar
wants an object with one boolean, `true` in it; whoever ends one with `ENDLESS` is told `LOOP` for ever. The tokenizer is a byte-level BPE whose syllables are tokens and whose emoji is
four, so a reader that decodes token by token shows broken characters.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from .weights import Tensor, floats, gguf_bytes, gguf_names, ones, safetensors_bytes

HIDDEN = 128
LAYERS = 2
HEADS = 4
INNER = 64
CONTEXT = 512
ASK = "문"
ANSWER = "폐쇄망에서도 답변함🙂."
ENDLESS = "끝"
LOOP = "가나다라"
END = "<|end|>"
ROLES = ("system", "user", "assistant")
SPECIAL = ("<|begin|>", END, *(f"<|{role}|>" for role in ROLES))
# Nothing stands behind the last message: the model goes on from its last character.
TEMPLATE = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}"


def _byte_names() -> list[str]:
    """Return the visible character of each byte, as GPT-2's byte-level BPE names them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]


_BYTES = _byte_names()


def _named(text: str) -> str:
    return "".join(_BYTES[byte] for byte in text.encode())


def merges() -> list[tuple[str, str]]:
    """Return the merges that make one token of each syllable of what the model says."""
    found: dict[tuple[str, str], None] = {}
    for letter in ASK + ENDLESS + LOOP + ANSWER:
        if len(letter.encode()) == 3:
            first, second, third = list(_named(letter))
            found |= {(first, second): None, (first + second, third): None}
    return list(found)


def vocabulary() -> list[str]:
    """Return the tokens: special ones, bytes, merged ones."""
    return [*SPECIAL, *_BYTES, *dict.fromkeys(left + right for left, right in merges())]


def spoken(text: str) -> list[int]:
    """Return the token ids of what the model says."""
    known = {token: number for number, token in enumerate(vocabulary())}
    ids = []
    for letter in text:
        whole = known.get(_named(letter))
        ids += [whole] if whole is not None else [known[_BYTES[byte]] for byte in letter.encode()]
    return ids


def _followers() -> list[tuple[int, int, float]]:
    """Return pairs of tokens that follow each other, with their weight."""
    known = {token: number for number, token in enumerate(vocabulary())}
    answer = [*spoken(ASK), *spoken(ANSWER), known[END]]
    loop = [*spoken(LOOP), spoken(LOOP)[0]]
    json_object = [known[token] for token in '{":t']
    closing = [known["e"], known["}"], known[END]]
    pairs = [
        pair
        for chain in (answer, [*spoken(ENDLESS), *loop], json_object, closing)
        for pair in zip(chain, chain[1:])
    ]
    assert len(dict(pairs)) == len(set(pairs)), "a token has two followers"
    # Where a grammar forbids the answer, an object begins; what is between its quotes only the grammar decides.
    return [*((left, right, 1.0) for left, right in pairs), (spoken(ASK)[0], known["{"], 0.6)]


def tensors() -> dict[str, Tensor]:
    """Return the weights under Hugging Face's names."""
    size = len(vocabulary())
    draw = random.Random("tiny llama")
    rows = [[draw.choice((-1.0, 1.0)) for _ in range(HIDDEN)] for _ in range(size)]
    head = [[0.0] * HIDDEN for _ in range(size)]
    for token, follower, weight in _followers():
        # A token that follows two others adds both up.
        head[follower] = [a + weight * b for a, b in zip(head[follower], rows[token])]
    found = {
        "model.embed_tokens.weight": _matrix(rows),
        "lm_head.weight": _matrix(head),
        "model.norm.weight": ones((HIDDEN,)),
    }
    half = HIDDEN // 2
    shapes = {
        "mlp.down_proj": (HIDDEN, INNER),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "self_attn.k_proj": (half, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.v_proj": (half, HIDDEN),
    }
    for layer in range(LAYERS):
        top = f"model.layers.{layer}"
        found |= {
            f"{top}.{name}.weight": floats(f"{top}.{name}", shape, scale=0.01)
            for name, shape in shapes.items()
        }
        found |= {
            f"{top}.{name}.weight": ones((HIDDEN,))
            for name in ("input_layernorm", "post_attention_layernorm")
        }
    return found


def _matrix(rows: Sequence[Sequence[float]]) -> Tensor:
    flat = [value for row in rows for value in row]
    return "F32", (len(rows), len(rows[0])), struct.pack(f"<{len(flat)}f", *flat)


def config(**changes: object) -> dict[str, object]:
    """Return `config.json` with the fields that Llama's has."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 0,
        "eos_token_id": 1,
        "head_dim": HIDDEN // HEADS,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "max_position_embeddings": CONTEXT,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": HEADS // 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "vocab_size": len(vocabulary()),
    } | changes


def tokenizer_json() -> bytes:
    """Return the byte-level BPE as `tokenizers` reads it."""
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for number, token in enumerate(SPECIAL)
    ]  # fmt: skip
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return _json(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": level,
            "post_processor": None,
            "decoder": level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: number for number, token in enumerate(vocabulary())},
                "merges": [list(pair) for pair in merges()],
            },
        }
    )


def repository(**changes: object) -> dict[str, bytes]:
    """Return the model as a Hugging Face folder; `changes` go into `config.json`."""
    marks = {"bos_token": SPECIAL[0], "eos_token": END}
    return {
        "config.json": _json(config(**changes)),
        "generation_config.json": _json({"bos_token_id": 0, "eos_token_id": 1}),
        "model.safetensors": safetensors_bytes(tensors()),
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": _json(
            {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, **marks}
        ),
    }


def gguf(changes: Mapping[str, object] | None = None, *, half: bool = False) -> bytes:
    """Return the model as a GGUF file, in half precision where asked; `changes` go into its metadata, None takes a key out."""
    words = vocabulary()
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.name": "tiny llama",
        "general.file_type": int(half),
        "general.alignment": 32,
        "llama.block_count": LAYERS,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS // 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HIDDEN // HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(words),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": [3 if word in SPECIAL else 1 for word in words],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges()],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }
    # The vocabulary comes last, as converters write it.
    metadata = dict(
        sorted((metadata | dict(changes or {})).items(), key=lambda each: each[0].startswith("tokenizer."))
    )
    found = {
        name: _halved(each) if half and len(each[1]) > 1 else each for name, each in _gguf_tensors().items()
    }
    return gguf_bytes({key: value for key, value in metadata.items() if value is not None}, found)


def _halved(tensor: Tensor) -> Tensor:
    _, shape, data = tensor
    return "F16", shape, struct.pack(f"<{len(data) // 4}e", *struct.unpack(f"<{len(data) // 4}f", data))


def _gguf_tensors() -> dict[str, Tensor]:
    renamed = gguf_names(LAYERS)
    found = {}
    for name, tensor in tensors().items():
        ours = name.removesuffix(".weight")
        kept = _interleaved(tensor) if ours.endswith(("q_proj", "k_proj")) else tensor
        found[f"{renamed[ours]}.weight"] = kept
    return found


def _interleaved(tensor: Tensor) -> Tensor:
    """Return query or key weights in llama.cpp's order: it turns neighbours, Hugging Face turns halves."""
    dtype, (rows, columns), data = tensor
    size = HIDDEN // HEADS
    width = 4 * columns
    order = [
        head * size + half * size // 2 + place
        for head in range(rows // size)
        for place in range(size // 2)
        for half in range(2)
    ]
    return dtype, (rows, columns), b"".join(data[row * width : (row + 1) * width] for row in order)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
