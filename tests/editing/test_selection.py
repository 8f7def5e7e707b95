from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss import Layers
from sss.editing.selection import Selection
from sss.errors import InputError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("all", (0, 1, 2)),
        ("largest", (2,)),
        ({"layers": [0, "left"]}, (0, 2)),
        ({"layers": 1}, (1,)),
        ({"at": [40, 30]}, (0,)),
        ({"at": ["50%", "50%"]}, (0,)),
        ({"at": [[40, 30], ["99%", 3]]}, (0, 1)),
        ({"stroke": [[5, 5], [5, 50]]}, (2,)),
        ({"stroke": {"points": [[5, 5], [75, 5]], "width": "5%"}}, (1, 2)),
        ({"box": ["20%", "10%", "80%", "90%"]}, (0,)),
        ({"not": {"at": [40, 30]}}, (1, 2)),
        ({"any": ["largest", {"at": [40, 30]}]}, (0, 2)),
        ({"every": [{"not": "largest"}, {"not": {"layers": [0]}}]}, (1,)),
    ],
)
def test_what_is_meant(layers: Layers, written: Any, expected: tuple[int, ...]) -> None:
    assert Selection.parse(written)(layers) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("salent", "unknown select 'salent'; did you mean salient"),
        ({"att": [1, 2]}, "unknown select key 'att'"),
        (3, "select is '3', expected all, salient, largest, or one of layers, at"),
        ({"at": [1, 2], "box": [1, 2, 3, 4]}, "select is"),
        ({"at": [1]}, r"select.at is '1', expected 2 numbers"),
        ({"at": []}, r"select.at is '', expected a point"),
        ({"layers": []}, "expected numbers of layers"),
        ({"layers": [1.5]}, "expected numbers of layers"),
        ({"not": "nothing"}, "unknown select.not 'nothing'"),
        ({"any": "all"}, "expected a list of selections"),
        ({"stroke": {"points": [[1, 2]], "wide": 3}}, "unknown select.stroke key 'wide'"),
        ({"mask": 3}, "expected the path of a picture"),
    ],
)
def test_what_cannot_be_meant(written: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Selection.parse(written)


def test_no_layer_is_in_all_of_them(layers: Layers) -> None:
    with pytest.raises(InputError, match="no layer of this photo"):
        Selection.parse({"every": [{"layers": [0]}, {"layers": [1]}]})(layers)


def test_masks_of_several_origins(layers: Layers, tmp_path: Path) -> None:
    disc = layers.alpha[..., 0]
    grey = Image.fromarray((disc * 255).astype(np.uint8))
    pictures = {
        "grey.png": grey,
        "labels.png": Image.fromarray((disc > 0.5).astype(np.uint8)),
        "deep.png": Image.fromarray((disc * 65535).astype(np.uint16)),
        "cutout.png": Image.merge("RGBA", [*Image.new("RGB", grey.size).split(), grey]),
        "small.png": grey.resize((40, 30)),
        "bits.png": grey.point(lambda level: 255 * (level > 127)).convert("1"),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        assert Selection.parse({"mask": name}, folder=tmp_path)(layers) == (0,), name
    grey.resize((60, 80)).save(tmp_path / "turned.png")
    with pytest.raises(InputError, match=r"60 × 80 pixels, the photo 80 × 60"):
        Selection.parse({"mask": str(tmp_path / "turned.png")})(layers)
    with pytest.raises(InputError, match=r"cannot read the mask .*missing.png"):
        Selection.parse({"mask": str(tmp_path / "missing.png")})(layers)
