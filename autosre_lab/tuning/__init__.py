"""Experiments over a recipe: trials that are started, measured, gated, and rolled back."""
