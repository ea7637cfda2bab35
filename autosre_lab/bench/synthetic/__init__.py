"""Workloads, made here from a seed: nothing is downloaded."""

from __future__ import annotations

from autosre_lab.bench.synthetic.catalogue import (
    WORKLOADS,
    describe_workloads,
    load_workload,
    make_workload,
    named_parameters,
    parameters_in,
    save_workload,
    workload_names,
    workload_rows,
)

__all__ = [
    "WORKLOADS",
    "describe_workloads",
    "load_workload",
    "make_workload",
    "named_parameters",
    "parameters_in",
    "save_workload",
    "workload_names",
    "workload_rows",
]
