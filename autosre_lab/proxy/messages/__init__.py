"""Anthropic's Messages API: everything here speaks it, and nothing outside does."""
