"""What a report says of the run that it tells about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReportContext:
    """Where the figures come from, so that they can be made again.

    Attributes:
        data: Name of the data set.
        split: Which part of it.
        photos: How many photos were to be evaluated.
        command: The command line.
        date: When the report was written, for people.
        machine: Processor, cores, memory, accelerator, for people.
        seed: Of all random choices, those of the statistics among them.
        seconds: Wall seconds of the run.
        git: Commit of the program and whether files differ from it; empty if unknown.
        versions: Library → version.
        order: Entries to be told first; the first one is what the others are compared with.
        more: Anything else worth telling, by name.
    """

    data: str
    split: str
    photos: int
    command: str
    date: str
    machine: str
    seed: int = 0
    seconds: float = 0.0
    git: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON types only, if ``git`` and ``more`` hold no others."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Name and text of everything, for people; what is not known is left out."""
        commit = str(self.git.get("commit", ""))
        if commit and self.git.get("dirty"):
            commit += ", with changes that are not committed"
        told = [
            ("Command", self.command),
            ("Data", f"{self.data}, {self.split}, {self.photos} photos"),
            ("Date", self.date),
            ("Machine", self.machine),
            ("Time", f"{self.seconds:,.0f} s" if self.seconds else ""),
            ("Seed", str(self.seed)),
            ("Commit", commit),
            ("Versions", ", ".join(f"{name} {text}" for name, text in self.versions.items())),
            *((name, str(value)) for name, value in self.more.items()),
        ]
        return [(name, text) for name, text in told if text]
