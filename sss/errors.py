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


def describe_failure(what: object, error: Exception) -> str:
    """One line that names the photo, what went wrong and, where known, what to do.

    Args:
        what: Names the photo.
        error: Of whatever kind stopped the work on it.
    """
    message = " ".join(str(error).split())
    if isinstance(error, InputError):
        return message if str(what) in message else f"{what}: {message}"
    kind = type(error).__name__
    # torch.OutOfMemoryError, and torch's and C++'s bare RuntimeErrors about memory.
    if isinstance(error, MemoryError) or "memory" in message or "bad_alloc" in message:
        return f"{what}: not enough memory; give a smaller --max-side or --device cpu"
    if isinstance(error, OSError):
        return f"{what}: {error.filename or kind}: {error.strerror or message}"
    return f"{what}: unexpected {kind}: {message}; please report it with the photo"
