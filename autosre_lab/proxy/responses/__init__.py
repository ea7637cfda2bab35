"""OpenAI's Responses API, as Codex speaks it: everything here does, and nothing outside does."""
