"""Kubernetes' way to write amounts."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from autosre_lab.errors import ConfigError

__all__ = ["parse_quantity"]

_SUFFIXES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}


def parse_quantity(text: str) -> float:
    """Return an amount as a number: ``1500m`` is 1.5, ``2Gi`` is 2147483648.

    Raises:
        ConfigError: It is no quantity.
    """
    number = text.rstrip("kKMGTPim")
    suffix = text[len(number) :]
    try:
        value = Decimal(number)
    except InvalidOperation:
        value = None
    if value is None or (suffix != "m" and suffix not in _SUFFIXES):
        raise ConfigError(
            f"{text!r} is no amount that Kubernetes knows", remedy="write it like 500m, 2 or 16Gi"
        )
    return float(value / 1000 if suffix == "m" else value * _SUFFIXES[suffix])
