"""The one error that a user's input can cause, and what it quotes of other errors."""


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


def one_line(message: object) -> str:
    """A message or another library's error as one line; the name of its type if it says nothing."""
    return " ".join(str(message).split()) or type(message).__name__
