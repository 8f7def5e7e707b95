"""YAML as people write it: the words of YAML 1.2, no objects, nothing dropped in silence.

YAML 1.1, which PyYAML's own loaders read, takes ``no`` for false, ``1e-4`` for text and ``12:30``
for 750, and of two equal keys the first is forgotten.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from sss.errors import InputError, one_line

LARGEST_FILE = 1 << 16
"""Bytes; a configuration has a few thousand."""

LARGEST_CONTENT = 10_000
"""Values, counted again wherever an alias repeats them."""

DEEPEST = 50
"""Lists and sections inside one another."""

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_MERGE = "<<"


def read_yaml(path: Path) -> Any:
    """The content of a YAML file in UTF-8 or, with a byte order mark, UTF-16.

    Args:
        path: Of the file.

    Returns:
        Dictionaries with text as keys, lists, text, numbers, booleans and None; None if it is
        empty.

    Raises:
        InputError: It cannot be read, is too large, or is not YAML of this kind; names it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path} is larger than {LARGEST_FILE >> 10} kB: no configuration")
    try:
        return parse_yaml(content)
    except InputError as error:
        raise InputError(f"{path} is not a YAML file: {error}") from error


def parse_yaml(content: str | bytes) -> Any:
    """The values of one YAML document; see :func:`read_yaml`.

    Raises:
        InputError: It is not YAML, has tags, a key twice, keys that are no text, more than one
            document, too many values or too deep ones.
    """
    try:
        node = yaml.compose(content, Loader=yaml.BaseLoader)
        return None if node is None else _Reader().value(node, 0)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # thousands of digits, for one
        tabs = (b"\t" if isinstance(content, bytes) else "\t") in content  # type: ignore[operator]
        advice = "; indent with spaces, not with tabs" if tabs else ""
        raise InputError(f"{one_line(error)}{advice}") from error
    except RecursionError as error:
        raise InputError(f"more than {DEEPEST} lists or sections inside one another") from error


def as_yaml(content: Any) -> str:
    """What :func:`parse_yaml` reads as ``content`` again.

    Args:
        content: Of the kinds that :func:`read_yaml` gives.
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Quotes what only YAML 1.2 takes for a number, as it quotes what YAML 1.1 does."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    quotes = None if isinstance(_plain(text), str) else "'"
    return dumper.represent_scalar(_PLAIN_TAGS[0], text, style=quotes)


_Dumper.add_representer(str, _represent_text)


class _Reader:
    """Makes values of the nodes of a document."""

    def __init__(self) -> None:
        self.count = 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        self.count += 1
        if self.count > LARGEST_CONTENT:
            raise InputError(f"more than {LARGEST_CONTENT} values")
        if depth > DEEPEST:
            raise InputError(f"more than {DEEPEST} lists or sections inside one another")
        if node.tag not in _PLAIN_TAGS:
            raise InputError(f"the tag {node.tag} {_place(node)}; leave it out")
        if isinstance(node, yaml.ScalarNode):
            _check_text(node)
            return node.value if node.style else _plain(node.value)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, depth + 1) for entry in node.value]
        return self._section(node, depth)

    def _section(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        """A dictionary; what is merged into it gives way to its own keys."""
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, depth + 1)
            if not isinstance(key, str):
                raise InputError(f"the key {_place(key_node)} is no text; write it in quotes")
            value = self.value(value_node, depth + 1)
            if key == _MERGE and not key_node.style:
                merged = _merged(value, value_node) | merged
            elif key in own:
                raise InputError(
                    f"the key {key} stands there twice, again {_place(key_node)}; leave one out"
                )
            else:
                own[key] = value
        return merged | own


def _merged(value: Any, node: yaml.Node) -> dict[str, Any]:
    """What ``<<`` brings in: a section or several, of which the earlier ones come first."""
    sections = value if isinstance(value, list) else [value]
    merged: dict[str, Any] = {}
    for section in sections:
        if not isinstance(section, dict):
            raise InputError(f"<< merges sections only, not {section!r} {_place(node)}")
        merged = section | merged
    return merged


def _check_text(node: yaml.Node) -> None:
    """Refuse what no name of a file can hold: NUL and half characters."""
    try:
        if b"\0" not in os.fsencode(node.value):
            return
    except UnicodeEncodeError:
        pass
    raise InputError(f"the text {_place(node)} holds a character that is none")


def _plain(text: str) -> Any:
    """A word without quotes, by the core schema of YAML 1.2 (Sec. 10.3.2)."""
    if _NULL.fullmatch(text):
        return None
    if match := _BOOL.fullmatch(text):
        return bool(match[1])
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.([a-zA-Z])", r"\1", text))
    return text


def _place(node: yaml.Node) -> str:
    mark = node.start_mark
    return f"in line {mark.line + 1}, column {mark.column + 1}"
