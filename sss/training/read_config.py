"""Filling a configuration dataclass from YAML files and from ``--section.key VALUE``."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sss.errors import InputError
from sss.suggest import nearest
from sss.yaml_files import parse_yaml, read_yaml

Config = TypeVar("Config")

Values = dict[str, Any]
"""What was given of a section, by key; inner sections are dictionaries too."""

_EXPECTED = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "keys with values",
}


_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
"""What YAML 1.1 has beside true and false; taken for these only where they are expected."""


def read_config(
    config_class: type[Config], files: Sequence[Path], arguments: Sequence[str] = ()
) -> Config:
    """The defaults of ``config_class``, overridden by files and then by arguments.

    Args:
        config_class: A dataclass whose fields have defaults and are numbers, text, booleans,
            lists, dictionaries, or dataclasses again, any of them or None.
        files: YAML files with some of the keys; later ones override earlier ones.
        arguments: ``--section.key VALUE`` or ``--section.key=VALUE`` with a value in YAML;
            ``--key+ VALUE`` adds to a list.

    Raises:
        InputError: A file is not YAML, or a key is unknown, without a value or of a wrong type;
            names the file, the key, what it is and what it should be.
    """
    reader = _Reader(config_class)
    values = dataclasses.asdict(config_class())  # type: ignore[call-overload]
    for path in files:
        content = read_yaml(path)
        try:
            _merge(values, reader.section(content, config_class, ""))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    for key, value, adds in reader.given(arguments):
        *sections, last = key.split(".")
        nested: Values = {last: value}
        for name in reversed(sections):
            nested = {name: nested}
        _merge(values, reader.section(nested, config_class, ""), adds)
    config: Config = reader.build(config_class, values, "")
    return config


def config_parser(
    config_class: type, prog: str, usage: str, description: str | None
) -> argparse.ArgumentParser:
    """The options that programs with a configuration share; --help shows its keys too.

    Args:
        config_class: As for :func:`read_config`, which takes what this parser does not know.
        prog: Name of the program.
        usage: One line.
        description: What the program does.
    """
    lines = [
        textwrap.fill(line, 100, subsequent_indent=" " * 6) for line in describe_keys(config_class)
    ]
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=usage,
        description=description,
        epilog="keys of the configuration:\n\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME",
        help="YAML file, as given or in configs/; later ones override earlier ones",
    )
    return parser


def parse_known(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """The options that a parser of :func:`config_parser` knows, and the rest, which are keys.

    Raises:
        InputError: There are no arguments, or one cannot be read.
    """
    if not arguments:
        raise InputError(f"nothing to do; usage: {parser.usage} (--help lists the keys)")
    try:
        return parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; usage: {parser.usage}") from error


def known_keys(section: type, prefix: str = "") -> dict[str, Any]:
    """All keys of a configuration dataclass with their sections, ``optim.lr``, and their types."""
    keys = {}
    for name, hint in typing.get_type_hints(section).items():
        keys[prefix + name] = hint
        if inner := _section_in(hint):
            keys |= known_keys(inner, f"{prefix}{name}.")
    return keys


def describe_keys(section: type, prefix: str = "--") -> Iterator[str]:
    """A line for each key, with its default and what the docstring says of it.

    Args:
        section: A dataclass whose docstring lists its attributes.
        prefix: What stands before its keys; those of a list's entries are no options by themselves.
    """
    attributes = (inspect.getdoc(section) or "").partition("Attributes:\n")[2]
    said = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE))
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        meaning = " ".join(said.get(field.name, "").split()).replace("``", "")
        inner = _section_in(hints[field.name])
        default = "" if inner or not _has_default(field) else f" (default: {_default(field)})"
        yield f"{prefix}{field.name}: {meaning}{default}"
        if inner:
            in_list = typing.get_origin(hints[field.name]) is list
            before = prefix.lstrip("-") if in_list else prefix
            yield from describe_keys(inner, f"{before}{field.name}.")


class _Reader:
    """Checks what is given against the fields of a dataclass.

    Args:
        config_class: The whole configuration, for the names of its keys.
    """

    def __init__(self, config_class: type) -> None:
        self.hints = known_keys(config_class)

    def section(self, content: Any, section: type, prefix: str) -> Values:
        """The values of a section, each of the type of its field.

        Args:
            content: What was given for it.
            section: Its dataclass.
            prefix: Its place in the whole, ``optim.``, empty for the whole.
        """
        if not isinstance(content, dict):
            names = ", ".join(field.name for field in dataclasses.fields(section))
            what = "empty" if content is None else repr(content)
            raise InputError(
                f"{prefix[:-1] or 'the file'} is {what}, expected keys with values ({names})"
            )
        hints = typing.get_type_hints(section)
        for key in content:
            if key not in hints:
                raise self.unknown(f"{prefix}{key}")
        return {
            key: self.value(value, hints[key], f"{prefix}{key}") for key, value in content.items()
        }

    def value(self, value: Any, hint: Any, key: str) -> Any:
        """A value as the type of its field wants it; sections stay dictionaries."""
        hint, optional = _without_none(hint)
        if value is None and optional:
            return None
        kind = typing.get_origin(hint) or hint
        if dataclasses.is_dataclass(kind):
            return self.section(value, hint, f"{key}.")
        if kind in (int, float):
            return _number(value, kind, key)
        if kind is bool and isinstance(value, str):
            value = _SWITCHES.get(value.lower(), value)
        if not isinstance(value, kind):
            quotes = ": write it in quotes" if kind is str and value is not None else ""
            raise InputError(f"{key} is {value!r}, expected {_EXPECTED[kind]}{quotes}")
        if kind is not list:
            return value
        (inner,) = typing.get_args(hint)
        entries = [self.value(entry, inner, key) for entry in value]
        for entry in entries if _section_in(hint) else ():
            self.build(inner, entry, key)
        return entries

    def given(self, arguments: Sequence[str]) -> Iterator[tuple[str, Any, bool]]:
        """Key and value of each argument, and whether it adds to a list."""
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if not argument.startswith("--"):
                raise InputError(f"'{argument}' is not an option; give keys as --section.key VALUE")
            option, follows, text = argument[2:].partition("=")
            key = option.removesuffix("+")
            hint = self.hint_of(key)
            if not follows:
                if not rest or rest[0].startswith("--"):
                    raise InputError(f"{key} stands there without a value; write --{key} VALUE")
                text = rest.pop(0)
            value = _parse(text, hint, key)
            adds = option.endswith("+") and typing.get_origin(hint) is list
            yield key, [value] if adds and not isinstance(value, list) else value, adds

    def hint_of(self, key: str) -> Any:
        """The type of a key; of one inside ``options`` whatever it is given."""
        for name, hint in self.hints.items():
            if key.startswith(f"{name}."):
                if typing.get_origin(hint) is list:
                    raise InputError(f"{name} is a list; give all of it: --{name} '[…]'")
                if typing.get_origin(hint) is dict:
                    return Any
        if key not in self.hints:
            raise self.unknown(key)
        return self.hints[key]

    def unknown(self, key: str) -> InputError:
        """That there is no such key, and which one may have been meant."""
        near = nearest(key, self.hints, cutoff=0.8)
        if not near:  # perhaps the section was left out, or is another one
            by_leaf = {name.rpartition(".")[2]: name for name in reversed(self.hints)}
            near = [by_leaf[leaf] for leaf in nearest(key.rpartition(".")[2], by_leaf, cutoff=0.75)]
        meant = f"did you mean {near[0]}?" if near else "--help lists them all"
        return InputError(f"there is no key {key}; {meant}")

    def build(self, section: type, values: Values, key: str) -> Any:
        """The dataclass of a section's values."""
        hints = typing.get_type_hints(section)
        arguments = {}
        for field in dataclasses.fields(section):
            if field.name in values:
                inner, value = _section_in(hints[field.name]), values[field.name]
                within = f"{key}.{field.name}".lstrip(".")
                if inner and isinstance(value, list):
                    value = [self.build(inner, entry, within) for entry in value]
                elif inner and value is not None:
                    value = self.build(inner, value, within)
                arguments[field.name] = value
            elif not _has_default(field):
                raise InputError(f"{key}.{field.name} is missing in {values!r}")
        return section(**arguments)


def _number(value: Any, kind: type, key: str) -> Any:
    """A number that was given as one or in quotes; 6e4 is a whole one, too."""
    with suppress(ValueError, OverflowError):
        if isinstance(value, str):
            value = float(value) if kind is float else int(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = kind(value)
            if kind is float or isinstance(value, int) or number == value < 2**53:
                return number
    raise InputError(f"{key} is {value!r}, expected {_EXPECTED[kind]}")


def _parse(text: str, hint: Any, key: str) -> Any:
    """An argument's text as YAML, or as it is where text is wanted."""
    plain, optional = _without_none(hint)
    if plain is str:
        return None if optional and text == "null" else text
    try:
        return parse_yaml(text) if text else text
    except InputError as error:
        raise InputError(f"--{key} {text} is not YAML: {error}") from error


def _merge(values: Values, new: Values, adds: bool = False) -> None:
    """Override ``values`` by ``new``, section by section; lists as a whole unless ``adds``."""
    for key, value in new.items():
        old = values.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value, adds)
        elif adds and isinstance(value, list) and isinstance(old, list):
            old += value
        else:
            values[key] = value


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type of a field that may be None, and whether it may."""
    if not isinstance(hint, types.UnionType):
        return hint, False
    (inner,) = (kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return inner, True


def _section_in(hint: Any) -> type | None:
    """The dataclass that a key holds, one or a list of; none for plain values."""
    inner = next(iter(typing.get_args(hint)), hint)
    return inner if dataclasses.is_dataclass(inner) and isinstance(inner, type) else None


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not field.default is field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()
