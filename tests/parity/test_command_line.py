from __future__ import annotations

import shlex

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.parity.command_line import CommandLine, difference, read_command_line
from autosre_lab.recipe import load_flag_table

TABLE = load_flag_table("0.32.0")
NEWEST = load_flag_table("0.33.0")


def read(text: str) -> CommandLine:
    return read_command_line(shlex.split(f"vllm serve {text}"), TABLE)


def told(expected: str, live: str) -> list[tuple[str, str, str | None, str | None]]:
    found = difference(read(expected), read(live))
    return [(one.subject, one.kind, one.expected, one.live) for one in found]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("m --tensor-parallel-size 2", "m -tp 2"),
        ("m --tensor-parallel-size 2", "m -tp=2"),
        ("m --tensor-parallel-size 2", "m --tensor_parallel_size=2"),
        ("m --quantization awq", "m -q awq"),
        ("m --quantization awq", "m -qawq"),
        ("m --gpu-memory-utilization 0.4", "m --device-memory-utilization .40"),
        ("m --max-model-len 262144", "m --max-model-len 256K"),
        ("m --max-model-len 256000", "m --max-model-len=256k"),
        ("m --max-model-len 256000", "m --max-model 256k"),
        ("m --max-model-len auto", "m --max-model-len -1"),
        ("m --enable-prefix-caching", "--enable_prefix_caching m"),
        ("m --no-enable-prefix-caching", "m --no-enable_prefix_caching"),
        ("m", "--model m"),
        ("m", "--model=m"),
        ("m --served-model-name a b --port 1", "m --port 1 --served-model-name a b"),
        ("m --served-model-name m", "m"),
        ("m --max-num-seqs 4", "m --max-num-seqs 8 --max-num-seqs 4"),
        ("m --scheduling-policy fcfs", "m"),
        ("m --tensor-parallel-size 1", "m"),
        ("m --no-enable-expert-parallel", "m"),
        ("m --gpu-memory-utilization 0.92", "m"),
        ("m --quantization None", "m"),
        ("m --middleware a --middleware b", "m --middleware=a --middleware=b"),
        ("m --optimization-level 3", "m -O3"),
        ("m --optimization-level 3", "m -O 3"),
        (
            'm --speculative-config \'{"method":"mtp","num_speculative_tokens":3}\'',
            'm --speculative-config \'{ "num_speculative_tokens": 3, "method": "mtp" }\'',
        ),
        (
            'm --speculative-config \'{"method":"mtp","num_speculative_tokens":3}\'',
            "m --speculative-config.method mtp --speculative_config.num_speculative_tokens=3",
        ),
        (
            'm -sc \'{"method":"mtp"}\'',
            "m -sc.method mtp",
        ),
        (
            'm -cc \'{"pass_config":{"a":true},"custom_ops":["x","y"]}\'',
            "m -cc.pass_config.a true -cc.custom_ops+ x -cc.custom_ops+=y",
        ),
        (
            "m --kv-transfer-config '{\"size\":80000000000}'",
            "m --kv-transfer-config.size 80g",
        ),
        ("m --additional-config '{}'", "m"),
        ("m --host 0.0.0.0", "m"),
        ("m --rope-of-tomorrow 3", "m --rope_of_tomorrow=3"),
    ],
)
def test_two_spellings_of_one_setting_do_not_differ(one: str, other: str) -> None:
    assert told(one, other) == []
    assert told(other, one) == []


@pytest.mark.parametrize(
    ("expected", "live", "rows"),
    [
        (
            "m --max-model-len 256K",
            "m --max-model-len 256k",
            [("--max-model-len", "different", "262144", "256000")],
        ),
        (
            "m --enable-prefix-caching",
            "m --no-enable-prefix-caching",
            [("--enable-prefix-caching", "different", "true", "false")],
        ),
        (
            "m --enable-prefix-caching",
            "m",
            [("--enable-prefix-caching", "missing", "true", None)],
        ),
        (
            "m",
            "m --no-enable-prefix-caching",
            [("--enable-prefix-caching", "extra", None, "false")],
        ),
        (
            "m --served-model-name a b",
            "m --served-model-name b a",
            [("--served-model-name", "different", '["a", "b"]', '["b", "a"]')],
        ),
        (
            'm -sc \'{"method":"mtp"}\'',
            'm -sc \'{"method":"ngram"}\'',
            [("--speculative-config", "different", '{"method": "mtp"}', '{"method": "ngram"}')],
        ),
        ("m", "other", [("model", "different", "m", "other")]),
        ("m", "m stray", [("words without a flag", "extra", None, "stray")]),
        (
            "m --rope-of-tomorrow 3",
            "m --rope-of-tomorrow 4 --x-of-tomorrow",
            [
                ("--rope-of-tomorrow", "different", "3", "4"),
                ("--x-of-tomorrow", "extra", None, ""),
            ],
        ),
        (
            "m --additional-config '{\"a\":1}'",
            "m --additional-config '{\"a\":true}'",
            [("--additional-config", "different", '{"a": 1}', '{"a": true}')],
        ),
    ],
)
def test_a_difference_of_meaning_is_told(
    expected: str, live: str, rows: list[tuple[str, str, str | None, str | None]]
) -> None:
    assert told(expected, live) == rows


def test_dotted_json_replaces_the_json_text_as_in_vllm() -> None:
    assert told('m -sc \'{"method":"mtp"}\'', "m -sc '{\"num\":1}' -sc.method mtp") == []


def test_newer_vllm_pairs_enable_with_disable() -> None:
    lines = [
        read_command_line(["vllm", "serve", "m", word], NEWEST)
        for word in ("--disable-prefix-caching", "--no-enable-prefix-caching")
    ]
    assert lines[0] == lines[1]
    assert lines[0].flags == {"--enable-prefix-caching": False}


def test_values_that_begin_with_a_dash_stay_values() -> None:
    line = read("m --seed -1 --served-model-name a -- stray")
    assert line.flags == {"--seed": -1, "--served-model-name": ["a"]}
    assert line.stray == ("stray",)


def test_what_vllm_would_refuse_is_kept_as_it_stands() -> None:
    line = read("m --max-num-seqs many --enforce-eager=yes")
    assert line.flags == {"--max-num-seqs": "many", "--enforce-eager": '["yes"]'}


def test_secrets_are_known_by_presence_only() -> None:
    line = read("m --api-key abc123 --hf-token=def456")
    assert "abc123" not in repr(line)
    assert "def456" not in repr(line)
    assert told("m --api-key one", "m --api-key two") == []
    assert told("m --api-key one", "m") == [("--api-key", "missing", "(hidden)", None)]


def test_without_a_table_words_are_compared_as_they_stand() -> None:
    lines = [
        read_command_line(shlex.split(text), None)
        for text in ("vllm serve m --max_model_len=8", "vllm serve m --max-model-len 9")
    ]
    (row,) = difference(*lines)
    assert (row.subject, row.expected, row.live) == ("--max-model-len", "8", "9")


@pytest.mark.parametrize(
    "prefix",
    [
        "vllm serve",
        "/opt/venv/bin/vllm serve",
        "/usr/bin/python3 /usr/local/bin/vllm serve",
        "python3.12 -I -X utf8 -m vllm serve",
        "python -m vllm.entrypoints.cli.main serve",
        "tini -g -- vllm serve",
        "numactl --cpunodebind=0 /opt/python3 /opt/venv/bin/vllm serve",
        "env A=b python3 -m vllm.entrypoints.openai.api_server --model",
    ],
)
def test_what_stands_before_vllm_makes_no_difference(prefix: str) -> None:
    line = read_command_line(shlex.split(f"{prefix} m --max-num-seqs 4"), TABLE)
    assert line == read("m --max-num-seqs 4")


@pytest.mark.parametrize(
    "argv",
    [
        ["bash", "-c", "exec vllm serve m --max-num-seqs 4"],
        ["/bin/sh", "-lc", "cd /tmp && vllm serve m --max-num-seqs 4; echo ended"],
        ["sh", "-e", "-c", "vllm serve m --max-num-seqs 4 2>&1 | tee log"],
    ],
)
def test_a_line_inside_a_shell_is_found(argv: list[str]) -> None:
    assert read_command_line(argv, TABLE) == read("m --max-num-seqs 4")


@pytest.mark.parametrize("argv", [[], ["nginx"], ["vllm", "chat"], ["sh", "-c", "sleep 1"]])
def test_a_command_line_without_vllm_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="no `vllm serve` in"):
        read_command_line(argv, TABLE)


def test_the_api_server_alone_serves_the_parser_s_default_model() -> None:
    line = read_command_line(["python3", "-m", "vllm.entrypoints.openai.api_server"], TABLE)
    assert line.model == "Qwen/Qwen3-0.6B"
