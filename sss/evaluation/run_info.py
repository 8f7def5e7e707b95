"""Where, when and with what an evaluation ran, for its report."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sss import __version__
from sss.evaluation.cache import METRICS_VERSION, PACKAGES
from sss.evaluation.models import NetworkModel, plain_text
from sss.evaluation.options import EvaluationOptions
from sss.evaluation.plan import Plan, describe_method
from sss.git import git_state


@dataclass(frozen=True)
class RunInfo:
    """Where the results come from, so that they can be made again.

    Attributes:
        data: Name of the data set.
        split: Which part of it.
        photos: How many photos were to be evaluated.
        facts: Everything else worth telling, by name; what is not known is left out.
        missing: Entry → names of the photos on which it failed.
    """

    data: str
    split: str
    photos: int
    facts: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and trackers."""
        missing = {"missing": dict(self.missing)} if self.missing else {}
        told = {"data": self.data, "split": self.split, "photos": self.photos}
        return {**told, **missing, **self.facts}


def describe_run(
    options: EvaluationOptions,
    plan: Plan,
    photos: int,
    command: str,
    seconds: float,
    missing: Mapping[str, Sequence[str]],
) -> RunInfo:
    """What the report says of a run that took so many wall seconds."""
    git = git_state()
    changed = ", with changes that are not committed" if git.get("dirty") else ""
    facts = {
        "Command": command,
        "Data": f"{options.data}, {options.split}, {photos} photos",
        "Longer side": f"at most {plan.max_side} pixels" if plan.max_side is not None else "",
        "Date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "Machine": machine(),
        "Time": f"{seconds:,.0f} s",
        "Seed": str(plan.seed),
        "Commit": git.get("commit", "") + changed,
        "Versions": ", ".join(f"{name} {text}" for name, text in versions().items()),
        "Metrics version": str(METRICS_VERSION),
    }
    for model in plan.models:
        if isinstance(model, NetworkModel):
            facts[model.label] = f"{model.path}, SHA-256 {model.sha256}"
    for method in plan.methods:
        facts[method.name] = _listed(describe_method(method))
    told = {name: plain_text(text) for name, text in facts.items() if text}
    return RunInfo(options.data, options.split, photos, told, missing)


def _listed(values: Mapping[str, Any]) -> str:
    """Names and values in one line, those of dictionaries in it too."""
    return ", ".join(
        _listed(value) if isinstance(value, Mapping) else f"{name} {value}"
        for name, value in values.items()
    )


def machine() -> str:
    """Processor, cores, memory and GPU of this machine."""
    parts = [_processor(), f"{len(os.sched_getaffinity(0))} cores" if _linux() else ""]
    if _linux():
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        parts.append(f"{memory / 1e9:.0f} GB")
    torch = sys.modules.get("torch")  # where nothing needed it, no GPU was used
    if torch and torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(part for part in parts if part)


def versions() -> dict[str, str]:
    """Of this program, Python and the libraries that the scores depend on."""
    found = {"sss": __version__, "python": platform.python_version()}
    for package in (*PACKAGES, "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _linux() -> bool:
    return sys.platform == "linux"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
