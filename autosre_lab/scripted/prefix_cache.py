"""Which leading blocks of a prompt were there before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["PrefixCache"]


class PrefixCache:
    """Blocks of token ids, each known by all that comes before it; the oldest go first.

    Args:
        blocks: How many are kept.
        block_tokens: Tokens of each.
    """

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self._kept: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def hit(self, ids: Sequence[int]) -> int:
        """Return how many leading tokens are kept, whole blocks and never the last token."""
        tokens = 0
        for key in self._keys(ids[:-1]):
            if key not in self._kept:
                break
            self._kept.move_to_end(key)
            tokens += self.block_tokens
        return tokens

    def keep(self, ids: Sequence[int]) -> None:
        """Keep a prompt's whole blocks."""
        for key in self._keys(ids):
            self._kept[key] = None
            self._kept.move_to_end(key)
        while len(self._kept) > self.blocks:
            self._kept.popitem(last=False)

    def _keys(self, ids: Sequence[int]) -> list[int]:
        size, before, keys = self.block_tokens, 0, []
        for at in range(0, len(ids) - size + 1, size):
            before = hash((before, tuple(ids[at : at + size])))
            keys.append(before)
        return keys
