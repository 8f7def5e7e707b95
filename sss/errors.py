"""The one error that a user's input can cause, and what it quotes of other errors and of names."""

import re
import unicodedata

_BYTES = re.compile("[\udc80-\udcff]")
"""How Python holds bytes of a file's name that are no text (PEP 383)."""

LONGEST_LINE = 300
"""Characters of another library's message."""

_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of Unicode: control, surrogate (which stand for bytes that are no text), line ends."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what came, what was expected, what to do. The scripts print it and
    leave with exit code 2; library callers see an ordinary ``ValueError``.

    Examples:
        >>> import sss
        >>> sss.read_image("missing.jpg")
        Traceback (most recent call last):
        sss.errors.InputError: ...
    """


def as_text(name: object) -> str:
    r"""A file's name as text that any file and screen can take: bytes that are no text as ``\xe9``.

    Examples:
        >>> import os
        >>> as_text(os.fsdecode(b"caf\xe9.jpg"))
        'caf\\xe9.jpg'
    """
    text = _BYTES.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", str(name))
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: object) -> str:
    r"""Text of one line for a screen: also control characters, which act on it, are escaped.

    Examples:
        >>> printable("two\nlines.jpg")
        'two\\nlines.jpg'
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in as_text(text)
    )


def one_line(message: object) -> str:
    """A message or another library's error as one line; the name of its type if it says nothing.

    Libraries quote what they found, such as a damaged file's bytes: long lines are cut short.
    """
    line = " ".join(str(message).split()) or type(message).__name__
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def describe_failure(what: object, error: Exception) -> str:
    """One line that names the photo, what went wrong and, where known, what to do.

    Args:
        what: Names the photo.
        error: Of whatever kind stopped the work on it.
    """
    shown = printable(what)
    message = " ".join(str(error).replace(str(what), shown).split())
    if isinstance(error, InputError):
        return message if shown in message else f"{shown}: {message}"
    kind = type(error).__name__
    # torch.OutOfMemoryError, and torch's and C++'s bare RuntimeErrors about memory.
    if isinstance(error, MemoryError) or "memory" in message or "bad_alloc" in message:
        return f"{shown}: not enough memory; give a smaller --max-side or --device cpu"
    if isinstance(error, OSError):
        return f"{shown}: {error.filename or kind}: {error.strerror or message}"
    return f"{shown}: unexpected {kind}: {message}; please report it with the photo"
