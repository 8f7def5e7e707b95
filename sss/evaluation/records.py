"""The scores of one entry on one photo, as they are kept and reported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sss.metrics.catalogue import METRICS, WeightedSum


@dataclass
class Record:
    """The scores of one entry (a model's embedding, or a method) on one photo.

    Attributes:
        photo: Name of the sample.
        entry: Row of the tables, for instance ``sss · small_cpu``.
        kind: Whether an embedding (``features``) or layers were measured.
        model: Label of the model that made the embedding; None for methods without one.
        method: Name of the method; None for features.
        scales: What the method's own scale went through (numbers of layers, or thresholds); ``[0]``
            for features.
        sums: Metric → a weighted sum per scale, or, of metrics with thresholds, per scale and
            threshold, one scale after the other; metrics that the photo does not have are left out.
        layers: Regions or layers found, per scale.
        seconds: Wall seconds for each scale's result from photo and embedding, all steps counted.
        settings: All that the result depends on; its hash is the key in the cache.
        key: That hash: names the record's files in the cache, ``KEY.json`` and, for layers,
            ``KEY.webp``: thumbnails of all scales below each other, equally high.
    """

    photo: str
    entry: str
    kind: Literal["features", "layers"]
    model: str | None
    method: str | None
    scales: list[float]
    sums: dict[str, list[WeightedSum]]
    layers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    key: str = ""


def record_key(settings: dict[str, Any]) -> str:
    """SHA-256 of the settings' canonical JSON.

    Raises:
        ValueError: They hold NaN or infinite numbers.
        TypeError: They hold something that is not of JSON.
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def record_from_json(text: str) -> Record:
    """A record from the JSON of its fields.

    Raises:
        ValueError: It is not one, or not of this version.
    """
    content = json.loads(text)
    names = {field.name for field in fields(Record)}
    if not isinstance(content, dict) or content.keys() != names:
        raise ValueError("not a record of this version")
    for name in ("scales", "layers", "seconds"):
        if not all(isinstance(value, int | float) for value in content[name]):
            raise ValueError(f"its {name} are no numbers")
    for name in ("photo", "entry", "kind", "key"):
        if not isinstance(content[name], str):
            raise ValueError(f"its {name} is no text")
    given = content["settings"].get("method") or {}
    if content["scales"] != given.get("scales", content["scales"]):
        raise ValueError("its scales are not those of its settings")
    scales = len(content["scales"])
    for metric, sums in content["sums"].items():
        if metric not in METRICS or len(sums) != scales * METRICS[metric].thresholds:
            raise ValueError(f"its sums of {metric} are not those of {scales} scales")
        content["sums"][metric] = [(float(total), float(weight)) for total, weight in sums]
    return Record(**content)
