"""Terminal, a drawn conversation: text for people and pixels for videos."""

import sys
import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pivot_envs.snapshot import Message

COLUMNS = 100
ROWS = 36
_CELL_WIDTH, _CELL_HEIGHT, _MARGIN = 6, 13, 8
_BACKGROUND = (18, 20, 26)
_COLOURS = {"user": (240, 200, 110), "assistant": (120, 200, 255), "tool": (208, 210, 214)}
_PROMPTS = {"user": "# ", "assistant": "> ", "tool": "  "}


class Terminal:
    """Shows a conversation the way a terminal would, newest lines last."""

    def __init__(self) -> None:
        self._shown: tuple[Message, ...] = ()

    def transcript(self, messages: Sequence[Message]) -> str:
        """Return the whole conversation as text."""
        return "\n".join(line for message in messages for line, _ in _lines(message))

    def show_new(self, messages: Sequence[Message]) -> None:
        """Write what was added since the last call to standard output."""
        known = len(self._shown) if self._shown == tuple(messages[: len(self._shown)]) else 0
        encoding = sys.stdout.encoding or "utf-8"
        text = self.transcript(messages[known:])
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
        self._shown = tuple(messages)

    def draw(self, messages: Sequence[Message]) -> NDArray[np.uint8]:
        """Return the last lines of the conversation as an image.

        Returns:
            RGB pixels, shape (484, 616, 3), dtype uint8; every frame has the same size.
        """
        wrapped = [
            (part, colour)
            for message in messages
            for line, colour in _lines(message)
            for part in textwrap.wrap(
                line, COLUMNS, drop_whitespace=False, replace_whitespace=False, tabsize=4
            )
            or [""]
        ]
        size = (COLUMNS * _CELL_WIDTH + 2 * _MARGIN, ROWS * _CELL_HEIGHT + 2 * _MARGIN)
        image = Image.new("RGB", size, _BACKGROUND)
        canvas = ImageDraw.Draw(image)
        font = ImageFont.load_default_imagefont()
        for row, (text, colour) in enumerate(wrapped[-ROWS:]):
            # The built-in bitmap font has Latin-1 only.
            visible = text.encode("latin-1", errors="replace").decode("latin-1")
            canvas.text((_MARGIN, _MARGIN + row * _CELL_HEIGHT), visible, fill=colour, font=font)
        return np.asarray(image, dtype=np.uint8)


def _lines(message: Message) -> list[tuple[str, tuple[int, int, int]]]:
    colour, prompt = _COLOURS[message.role], _PROMPTS[message.role]
    return [(prompt + line.expandtabs(4), colour) for line in message.content.split("\n")]
