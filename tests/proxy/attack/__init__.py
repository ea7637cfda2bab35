"""A seeded attack on the proxy: `python -m tests.proxy.attack` (see docs/safety.md)."""
