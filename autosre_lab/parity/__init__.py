"""Parity: what runs, compared with what a recipe would run."""
