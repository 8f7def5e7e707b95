"""The one error that a user's input can cause."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what came, what was expected, what to do. The scripts print it and
    leave with exit code 2; library callers see an ordinary ``ValueError``.
    """
