"""Unpack a GGUF file into a folder of safetensors. Run by the engine's Python, not by ours."""

from __future__ import annotations

import sys


def main(source: str, file: str, target: str) -> None:
    """Write model and tokenizer of ``source/file`` into the folder ``target``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without `dequantize` the weights cannot be saved.
    unpack = GgufConfig(gguf_file=file, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(  # nosec B615: a file of this machine
        source, gguf_file=file, quantization_config=unpack, dtype=torch.bfloat16
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=file).save_pretrained(target)  # nosec B615: likewise


if __name__ == "__main__":
    main(*sys.argv[1:4])
