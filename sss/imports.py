"""Libraries that others would load although this run does not use them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
STOOD_IN = (COMPILER, f"{COMPILER}.utils")


@contextmanager
def not_installed(library: str) -> Iterator[None]:
    """Let a library look as if it were not there to those that would import it if it were."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]


@contextmanager
def compiler_on_demand() -> Iterator[None]:
    """Put off loading torch's compiler, which takes a second, until it is really asked for.

    torchvision and timm load it to mark functions that it shall leave alone, which means something
    only where something is compiled. What they import inside goes unmarked.
    """
    if COMPILER in sys.modules:
        yield
        return
    sys.modules.update({name: _StandIn(name) for name in STOOD_IN})
    try:
        yield
    finally:
        _remove_stand_ins()


class _StandIn(ModuleType):
    """Knows what libraries ask for while they are loaded; for all else the compiler is loaded."""

    def disable(self, function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
        """Mark a function, or give the decorator that does."""
        return (lambda decorated: decorated) if function is None else function

    def is_compile_supported(self, device: Any) -> bool:
        """Called when a model runs, not while it is loaded."""
        supported: bool = self._loaded().is_compile_supported(device)
        return supported

    def __getattr__(self, name: str) -> Any:
        # The import system asks for several; for this one where a submodule is imported, which it
        # then loads for itself.
        if name.startswith("__") and (self.__name__, name) != (COMPILER, "__path__"):
            raise AttributeError(name)
        return getattr(self._loaded(), name)

    def _loaded(self) -> ModuleType:
        """The real module, from now on for everybody."""
        _remove_stand_ins()
        return importlib.import_module(self.__name__)


def _remove_stand_ins() -> None:
    for name in STOOD_IN:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
