"""The command lines: options, work on many photos, errors in one line."""
