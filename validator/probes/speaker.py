"""Let a carried language model go on from fixed prompts, greedily, and report plain JSON; judges nothing.

Run as ``python -c SOURCE REQUEST`` by an interpreter that knows nothing of the validator: the builder's, which makes
the golden answer, and the generation's, which is compared with it. Only the standard library and one engine may be
used: xllamacpp for a GGUF file, torch and transformers for a folder of safetensors. The request is JSON:
``{"models": [{"name", "path", "prompts", "tokens"}], "threads"}``. The last line of the answer is `MARK` and a JSON object.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import secrets
import shutil
import sys
import tempfile
import time
from typing import Any, Dict, List, Tuple

MARK = "RAGTRACE-PROBE "
# Tokens beside the best one of each step: how many of them are near is what is asked.
BESIDE = 5
# A logarithm of nothing; the engines say minus infinity, or the least number of 32 bits.
LEAST = -1e4
CONTEXT = 256

Step = Tuple[int, str, List[Tuple[int, float]]]


def be_first_to_go() -> None:
    """Let the kernel, should memory run out, end this process and not the service beside it (proc(5))."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
            stream.write("1000")
    except OSError:
        return


def main(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return what each model said; a library that is not there is named, not an error."""
    report: Dict[str, Any] = {"missing": [], "models": []}
    for item in request["models"]:
        found: Dict[str, Any] = {"name": item["name"], "error": "", "cases": []}
        try:
            speak = _llama if item["path"].lower().endswith(".gguf") else _transformers
            started = time.perf_counter()
            found["cases"], found["engine"] = speak(item, int(request.get("threads") or 0) or _processors())
            found["seconds"] = time.perf_counter() - started
        except ModuleNotFoundError as error:
            report["missing"].append("%s: %s" % (error.name, error))
        except Exception as error:  # noqa: BLE001  the engines' own errors have no common class
            found["error"] = _said(error)
        report["models"].append(found)
    return report


def _llama(item: Dict[str, Any], threads: int) -> Tuple[List[Dict[str, Any]], str]:
    library = importlib.import_module("xllamacpp")
    # It listens whatever one asks of it: on a socket that only this user can reach, with a key that nobody knows.
    folder = tempfile.mkdtemp(prefix="ragtrace-", dir="/tmp" if os.name == "posix" else None)
    try:
        params = library.CommonParams()
        params.model.path = item["path"]
        params.hostnames = [folder + "/speaker.sock"]
        params.api_keys = [secrets.token_hex(32)]
        params.offline, params.ui, params.warmup, params.fit_params = True, False, False, False
        params.endpoint_slots = False
        params.verbosity = 1
        params.n_ctx, params.n_parallel, params.n_gpu_layers, params.cache_ram_mib = CONTEXT, 1, 0, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        # Weights as they lie in the file: shared with the service, and computed alike on every processor.
        params.no_extra_bufts = True
        server = library.Server(params)
        cases = []
        for prompt in item["prompts"]:
            said = server.handle_completions(
                {
                    "prompt": prompt,
                    "n_predict": item["tokens"],
                    "temperature": 0,
                    "n_probs": BESIDE,
                    "cache_prompt": False,
                    "stream": False,
                }
            )
            if "choices" not in said:
                raise RuntimeError(str(said.get("error", said)))
            steps = (said["choices"][0].get("logprobs") or {}).get("content") or []
            cases.append(
                _case(
                    prompt,
                    said["usage"]["prompt_tokens"],
                    [
                        (
                            one["id"],
                            bytes(one["bytes"]).decode("utf-8", "replace"),
                            [(each["id"], each["logprob"]) for each in one["top_logprobs"]],
                        )
                        for one in steps
                    ],
                )
            )
        del server
        return cases, "llama.cpp"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _transformers(item: Dict[str, Any], threads: int) -> Tuple[List[Dict[str, Any]], str]:
    torch = importlib.import_module("torch")
    library = importlib.import_module("transformers")
    torch.set_num_threads(threads)
    local = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = library.AutoTokenizer.from_pretrained(item["path"], **local)
    model, loading = library.AutoModelForCausalLM.from_pretrained(
        item["path"], use_safetensors=True, dtype="auto", output_loading_info=True, **local
    )
    lacking = sorted(loading["missing_keys"])
    if lacking:
        raise RuntimeError("weights that the folder does not have: " + ", ".join(lacking[:3]))
    model.eval()
    ends = {tokenizer.eos_token_id}
    named = getattr(model.generation_config, "eos_token_id", None)
    ends |= set(named) if isinstance(named, list) else {named}
    cases = []
    with torch.inference_mode():
        for prompt in item["prompts"]:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
            length, past = int(ids.shape[1]), None
            steps: List[Step] = []
            while len(steps) < item["tokens"]:
                out = model(input_ids=ids, past_key_values=past, use_cache=True)
                past = out.past_key_values
                best = torch.log_softmax(out.logits[0, -1].float(), -1).topk(BESIDE)
                beside = list(zip(best.indices.tolist(), best.values.tolist()))
                token = beside[0][0]
                steps.append((token, tokenizer.decode([token]), beside))
                if token in ends:
                    break
                ids = torch.tensor([[token]])
            cases.append(_case(prompt, length, steps))
    return cases, "transformers"


def _case(prompt: str, length: int, steps: List[Step]) -> Dict[str, Any]:
    """Return one answer: of each token its id, its text, the logarithm of its probability, and the next best ones."""
    tokens = []
    for token, text, beside in steps:
        known = {number: _finite(value) for number, value in beside}
        own = known.get(token, LEAST)
        others = sorted(((own - known[each], each) for each in known if each != token), key=lambda one: one)
        tokens.append(
            {
                "id": token,
                "text": text,
                "logprob": round(own, 3),
                "beside": [[each, round(behind, 3)] for behind, each in others],
            }
        )
    return {"prompt": prompt, "prompt_tokens": length, "tokens": tokens}


def _finite(value: float) -> float:
    # NaN stays what it is: it is to be told.
    return value if math.isnan(value) else max(float(value), LEAST)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return ("%s: %s" % (type(error).__name__, lines[0]))[:300]


if __name__ == "__main__":
    be_first_to_go()
    sys.stdout.write("\n" + MARK + json.dumps(main(json.loads(sys.argv[1]))) + "\n")
    sys.stdout.flush()
