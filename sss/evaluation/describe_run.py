"""Where, when and with what an evaluation ran, for its report."""

from __future__ import annotations

import os
import platform
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sss import __version__
from sss.evaluation.cache import METRICS_VERSION, PACKAGES
from sss.evaluation.models import NetworkModel
from sss.evaluation.plan import Plan, describe_method
from sss.evaluation.report.context import ReportContext
from sss.git import git_state


def describe_run(
    *,
    command: str,
    data: str,
    split: str,
    photos: int,
    seconds: float,
    plan: Plan,
) -> ReportContext:
    """What the report says of the run."""
    more: dict[str, Any] = {"Metrics version": METRICS_VERSION}
    if plan.max_side is not None:
        more["Longer side"] = f"at most {plan.max_side} pixels"
    for model in plan.models:
        if isinstance(model, NetworkModel):
            more[model.label] = f"{model.path}, SHA-256 {model.sha256}"
    for method in plan.methods:
        more[method.name] = ", ".join(f"{k} {v}" for k, v in describe_method(method).items())
    return ReportContext(
        data=data,
        split=split,
        photos=photos,
        command=command,
        date=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        machine=machine(),
        seed=plan.seed,
        seconds=round(seconds, 1),
        git=git_state(),
        versions=versions(),
        order=plan.entries(),
        more=more,
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
    """Of this program, Python and the libraries that the figures depend on."""
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
