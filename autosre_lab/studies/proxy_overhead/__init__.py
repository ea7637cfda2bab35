"""What a proxy adds between Claude Code and the engine: ours, its rivals, and none at all."""
