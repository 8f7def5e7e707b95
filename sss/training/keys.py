"""The keys of a config: which there are, and words for what is wrong with a user's."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sss.errors import InputError, one_line

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "dict": "keys with values",
}


def known_keys(section: type, prefix: str = "") -> list[str]:
    """All keys of a configuration dataclass with their sections: ``optim.lr``."""
    keys = []
    for name, hint in typing.get_type_hints(section).items():
        keys.append(prefix + name)
        inner = _section_in(hint)
        if inner:
            keys += known_keys(inner, f"{prefix}{name}.")
    return keys


def check_file(path: Path, config_class: type) -> None:
    """Refuse a file that is not YAML, or whose keys ``config_class`` does not have.

    Raises:
        InputError: Names the file, the key, and the nearest key there is.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = one_line(error)
        raise InputError(f"{path} is not a YAML file: {reason}") from error
    for problem in _problems(content, config_class, config_class, ""):
        raise InputError(f"{path}: {problem}")


def unknown_key(key: str, config_class: type) -> str:
    """Say that there is no ``key`` and which one may have been meant."""
    known = known_keys(config_class)
    near = difflib.get_close_matches(key, known, 1, cutoff=0.8)
    if not near:  # perhaps the section was left out, or is another one
        by_leaf = {name.rpartition(".")[2]: name for name in reversed(known)}
        leaf = key.rpartition(".")[2]
        near = [by_leaf[name] for name in difflib.get_close_matches(leaf, by_leaf, 1, cutoff=0.75)]
    meant = f"did you mean {near[0]}?" if near else "--help lists them all"
    return f"there is no key {key}; {meant}"


def check_arguments(arguments: list[str], config_class: type) -> None:
    """Refuse whole sections on the command line, ``--data.validation scenes``, as in a file.

    Raises:
        InputError: Names the key, what it is and what it should be.
    """
    for argument, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        option, given, value = argument.partition("=")
        key = option.lstrip("-").rstrip("+")
        hint = _hint_of(key, config_class)
        if not option.startswith("--") or _section_in(hint) is None:
            continue
        try:
            content = yaml.safe_load(value if given else following)
        except yaml.YAMLError:
            continue  # the parser will say so
        if option.endswith("+") and not isinstance(content, list):
            content = [content]
        for problem in _value_problems(content, hint, config_class, key):
            raise InputError(problem)


def explain(message: str, config_class: type) -> str:
    """One plain line for what jsonargparse found wrong."""
    message = " ".join(message.split())
    if found := re.search(r"unrecognized arguments: (.*)", message, re.IGNORECASE):
        first = found[1].split()[0]
        if not first.startswith("-"):
            return f"'{first}' is not an option; give keys as --section.key VALUE"
        return unknown_key(first.lstrip("-").partition("=")[0], config_class)
    key = _key_in(message)
    if found := re.search(r"(?:Option|accept option) '([\w.]+)'", message):
        return unknown_key(f"{key}.{found[1]}".lstrip("."), config_class)
    if "expected one argument" in message:
        return f"{key} stands there without a value; write --{key} VALUE"
    if found := re.search(r"arguments are required: (\w+)", message):
        return f"{key}.{found[1]} is missing"
    expected = r"Expected a <class '(\w+)'>\.? Got value: ?(.*?)(?: - Expected a <|$)"
    one_of = r"Subtypes: \[<class '(\w+)'>, <class 'NoneType'>\].* Given value: (.*)"
    if found := re.search(expected, message) or re.search(one_of, message):
        return f"{key} is {found[2].strip()!r}, expected {_KINDS.get(found[1], found[1])}"
    return message


def _key_in(message: str) -> str:
    """The key that a message of jsonargparse is about: sections come first, each by itself."""
    whole = ""
    for key in re.findall(r"""(?:Parser key "|argument --|Group ')([\w.]+)""", message):
        nested = whole and key != whole and not key.startswith(f"{whole}.")
        whole = f"{whole}.{key}" if nested else key
    return whole


def _problems(content: Any, section: type, whole: type, prefix: str) -> Iterator[str]:
    """What is wrong with the keys of ``section``, whose place in ``whole`` is ``prefix``."""
    if not isinstance(content, dict):
        names = ", ".join(field.name for field in dataclasses.fields(section))
        yield f"{prefix[:-1] or 'the file'} is {content!r}, expected keys with values ({names})"
        return
    hints = typing.get_type_hints(section)
    for key, value in content.items():
        if key not in hints:
            yield unknown_key(f"{prefix}{key}", whole)
        else:
            yield from _value_problems(value, hints[key], whole, f"{prefix}{key}")


def _value_problems(value: Any, hint: Any, whole: type, key: str) -> Iterator[str]:
    """What is wrong with the sections in a value; plain values are the parser's."""
    inner = _section_in(hint)
    if inner is None or (value is None and type(None) in typing.get_args(hint)):
        return
    if typing.get_origin(hint) is not list:
        yield from _problems(value, inner, whole, f"{key}.")
    elif isinstance(value, list):
        required = [field.name for field in dataclasses.fields(inner) if not _has_default(field)]
        for entry in value:
            yield from _problems(entry, inner, whole, f"{key}.")
            missing = [name for name in required if name not in entry]
            yield from (f"{key}.{name} is missing in {entry!r}" for name in missing)
    else:
        yield f"{key} is {value!r}, expected a list"


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not field.default is field.default_factory is dataclasses.MISSING


def _hint_of(key: str, section: type) -> Any:
    """The type of a key with its sections; none if there is no such key."""
    hint: Any = section
    for name in key.split("."):
        inner = _section_in(hint)
        hint = typing.get_type_hints(inner).get(name) if inner else None
    return hint


def _section_in(hint: Any) -> type | None:
    """The dataclass that a key holds, one or a list of; none for plain values."""
    inner = next(iter(typing.get_args(hint)), hint)
    return inner if dataclasses.is_dataclass(inner) and isinstance(inner, type) else None
