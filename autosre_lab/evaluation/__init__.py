"""Is it still right: protocol, cache path, tool use, code, and the user's own tasks."""
