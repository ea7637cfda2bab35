"""Fetch a repository from the hub into a folder. Run by the engine's Python, not by ours."""

from __future__ import annotations

import sys


def main(repo: str, revision: str, target: str) -> None:
    """Fetch the snapshot; files that are there whole are not fetched again."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(repo, revision=revision or None, local_dir=target)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        # The kind says more than the traceback: gated, not found, no connection, no space.
        cause = error.__cause__ or error
        sys.exit(f"{type(error).__name__}: {error} ({type(cause).__name__}: {cause})")


if __name__ == "__main__":
    main(*sys.argv[1:4])
