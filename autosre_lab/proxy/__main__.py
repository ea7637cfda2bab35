"""``python -m autosre_lab.proxy 8011 http://host:8010``: the proxy by itself, also in a Pod."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from autosre_lab.engine.protocol import engine_url
from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.logs import configure_logging, get_logger
from autosre_lab.private_files import in_words
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.listening import serve
from autosre_lab.proxy.web_search import Searcher
from autosre_lab.serving.reach import read_origins
from autosre_lab.serving.token import read_token

__all__ = ["main"]

logger = get_logger(__name__)

TOKEN_VARIABLE = "AUTOSRE_PROXY_TOKEN"  # noqa: S105 - the variable's name
KEY_VARIABLE = "AUTOSRE_ENGINE_KEY"
SEARCH_VARIABLE = "AUTOSRE_PROXY_WEB_SEARCH"
ORIGINS_VARIABLE = "AUTOSRE_PROXY_ORIGINS"
_DEFAULTS = {"RESUME_TRIES": 3, "RESUME_FOR": 600, "RESUME_TOKENS": 32_000}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and serve; the exit status is 2 for what the caller has to fix."""
    options = _parser().parse_args(argv)
    try:
        configure_logging(options.log_level)
        serve(
            ProxyConfig(
                upstream=engine_url(options.upstream),
                host=options.host,
                port=options.port,
                token=read_token(TOKEN_VARIABLE, options.token_file),
                engine_key=read_token(
                    KEY_VARIABLE, options.engine_key_file, option="--engine-key-file"
                ),
                keys_file=options.keys_file,
                origins=read_origins(
                    options.allow_origin or [os.environ.get(ORIGINS_VARIABLE, "")]
                ),
                request_log=options.request_log,
                responses_dir=options.responses_dir,
                keepalive_after_s=options.keepalive_after,
                keepalive_every_s=options.keepalive_every,
                max_running=options.max_running,
                resume_tries=_number(options.resume_tries, "RESUME_TRIES"),
                resume_for_s=_number(options.resume_for, "RESUME_FOR"),
                resume_tokens=_number(options.resume_tokens, "RESUME_TOKENS"),
                search=_searcher() if options.web_search else None,
            )
        )
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {in_words(error)}\n")
        return 2
    return 0


def _searcher() -> Searcher | None:
    """Return who searches the web for clients that expect it of their server."""
    from autosre_lab.web.search_process import SearchProcess

    if SearchProcess.is_installed():
        return SearchProcess()
    logger.info("no web search: the packages of autosre-lab[web] are not installed")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autosre_lab.proxy",
        description="Speak Anthropic's Messages API in front of a vLLM.",
        epilog=f"The token that clients have to show comes from {TOKEN_VARIABLE} or --token-file, "
        f"the engine's API key from {KEY_VARIABLE} or --engine-key-file, neither from the command "
        "line. Without a token, only loopback is served.",
    )
    parser.add_argument("port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("upstream", help="the engine, e.g. http://host:8010")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--token-file", type=Path, help="file whose content is the token")
    parser.add_argument(
        "--keys-file",
        type=Path,
        help="keys of single clients, made by `autosre keys create`; looked at when it changes",
    )
    parser.add_argument(
        "--engine-key-file", type=Path, help="file whose content is the engine's API key"
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        metavar="ORIGIN",
        help="origin of web pages that may ask, like https://app.example; several times for "
        f"several, or {ORIGINS_VARIABLE} with commas; none by default",
    )
    parser.add_argument("--request-log", type=Path, help="file for one JSON line a request")
    parser.add_argument(
        "--responses-dir",
        type=Path,
        help="folder in which the Responses API's answers are stored; none are without it",
    )
    parser.add_argument(
        "--keepalive-after",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds of silence after which the answer is begun without the engine",
    )
    parser.add_argument(
        "--keepalive-every", type=float, default=15.0, metavar="S", help="seconds between signs"
    )
    parser.add_argument("--max-running", type=int, default=1024, help="requests at a time")
    parser.add_argument(
        "--resume-tries",
        metavar="N",
        help="how often an answer that the engine broke off is asked for again; 0 never "
        f"({_DEFAULTS['RESUME_TRIES']}, or AUTOSRE_PROXY_RESUME_TRIES)",
    )
    parser.add_argument(
        "--resume-for",
        metavar="S",
        help="seconds that the engine has to come back, each time "
        f"({_DEFAULTS['RESUME_FOR']}, or AUTOSRE_PROXY_RESUME_FOR)",
    )
    parser.add_argument(
        "--resume-tokens",
        metavar="N",
        help="tokens of one answer that may be generated for nothing "
        f"({_DEFAULTS['RESUME_TOKENS']}, or AUTOSRE_PROXY_RESUME_TOKENS)",
    )
    parser.add_argument(
        "--web-search",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get(SEARCH_VARIABLE, "on").lower() not in ("off", "0", "no", "false"),
        help="search the web for clients that expect it of their server; needs autosre-lab[web], "
        f"and {SEARCH_VARIABLE}=off or --no-web-search refuses it",
    )
    parser.add_argument("--log-level", default="info")
    return parser


def _number(option: str | None, name: str) -> int:
    """Return a setting: the option, else its variable, else the default."""
    variable = f"AUTOSRE_PROXY_{name}"
    text = option or os.environ.get(variable) or str(_DEFAULTS[name])
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        flag = "--" + name.lower().replace("_", "-")
        raise ConfigError(
            f"{text!r} is not a whole number of 0 or more",
            remedy=f"correct {flag} or {variable}; without them it is {_DEFAULTS[name]}",
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
