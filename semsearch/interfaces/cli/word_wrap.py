"""Wrap text at words to the width of a terminal, also while it is written. Does not print."""

import re
import shutil

_CONTROL_SEQUENCE = re.compile(r"\x1b\[[;?0-9]*[A-Za-z]|\x1b\]8;.*?(?:\x1b\\|\a)")
"""Style and hyperlink sequences, which have no width."""
_RUN = re.compile(r"\n| +|[^ \n]+")


def wrap_words(text: str) -> str:
    """Return text whose lines fit the terminal; a continued line has the indentation of its beginning."""
    wrapper = WordWrapper(shutil.get_terminal_size().columns)
    return wrapper.feed(text) + wrapper.finish()


class WordWrapper:
    """Wraps text that arrives in parts. A word wider than a line stays whole."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._start_line()
        self._word = ""

    def feed(self, text: str) -> str:
        """Return what can be printed after this part: all but a last word that may continue."""
        return "".join(map(self._add_run, _RUN.findall(text)))

    def finish(self) -> str:
        """Return the last word."""
        word, self._word = self._word, ""
        return self._place(word) if word else ""

    def _start_line(self) -> None:
        self._column = 0
        self._indent = 0
        self._spaces = ""

    def _add_run(self, run: str) -> str:
        if run[0] not in " \n":
            self._word += run
            return ""
        text = self.finish()
        if run == "\n":
            text += self._spaces + "\n"
            self._start_line()
        elif self._column == 0 and not self._spaces:
            self._indent, self._spaces = len(run), run
        else:
            self._spaces += run
        return text

    def _place(self, word: str) -> str:
        """Return the word with the spaces before it, or on a line of its own."""
        length = len(_CONTROL_SEQUENCE.sub("", word))
        spaces, self._spaces = self._spaces, ""
        if self._column > self._indent and self._column + len(spaces) + length > self._width:
            self._column = self._indent + length
            return "\n" + " " * self._indent + word
        self._column += len(spaces) + length
        return spaces + word
