"""Programs that compress text, as the baseline that takes no training."""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from scaling.fields import Checked
from scaling.models.family import Family

if TYPE_CHECKING:
    from scaling.model import Model


@dataclass(frozen=True, kw_only=True)
class Compressor(Checked, Family):
    """The length of held-out bytes once compressed, as if it were a loss.

    All held-out sequences are compressed as one piece at the highest level of the program, which
    has seen no training data. A model that predicts bytes compresses them to its loss (MacKay 2003,
    section 6.2), so that the two compare.

    Attributes:
        program: "zlib" (LZ77 and Huffman codes) or "lzma" (LZ77 and range coding).
    """

    kind: ClassVar[str] = "compressor"
    program: Literal["zlib", "lzma"] = "lzma"

    def compressed(self, text: bytes) -> bytes:
        """The text as the program writes it."""
        if self.program == "zlib":
            return zlib.compress(text, level=9)
        return lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """Refuses to: a program has no parameters.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "model.kind = 'compressor' has no parameters that gradients could train: use "
            "train.kind = 'counting'"
        )

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group: none."""
        return {}

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of matrix products: there are none."""
        return 0
