"""``python -m autosre_lab.scripted MODEL --port N``: takes vLLM's command line."""

from __future__ import annotations

import argparse
import os
import sys

from aiohttp import web

from autosre_lab.scripted.serving import Pace, ScriptedEngine


def main(argv: list[str] | None = None) -> None:
    """Serve until it is told to end. What vLLM would understand and a script cannot use is let be.

    Args:
        argv: As `build_vllm_serve_cmd` makes it, without the executable.
    """
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.scripted")
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", nargs="+", default=["scripted"])
    parser.add_argument("--max-model-len", type=int, default=32_768)
    parser.add_argument("--max-num-seqs", type=int, default=8)
    parser.add_argument("--max-num-batched-tokens", type=int, default=2048)
    parser.add_argument(
        "--enable-prefix-caching", action=argparse.BooleanOptionalAction, default=True
    )
    options, unused = parser.parse_known_args(argv)
    sys.stderr.write(
        f"a scripted engine: no model is loaded, and the answers are made up. "
        f"Not used of the command line: {' '.join(unused) or 'nothing'}\n"
    )

    async def app() -> web.Application:
        return ScriptedEngine(
            options.served_model_name[0],
            max_model_len=options.max_model_len,
            max_num_seqs=options.max_num_seqs,
            step_tokens=options.max_num_batched_tokens,
            prefix_caching=options.enable_prefix_caching,
            pace=Pace().times_faster(float(os.environ.get("SCRIPTED_SPEED", "1"))),
            api_key=os.environ.get("VLLM_API_KEY", ""),
        ).app

    web.run_app(
        app(),
        host=options.host,
        port=options.port,
        handler_cancellation=True,
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
