"""The front door of the installed package, in an empty folder: ``front_door.py PHOTO``."""

import importlib.util
import sys
from pathlib import Path

from PIL import Image

import sss

Image.open(sys.argv[1]).convert("RGB").save("photo.jpg", quality=95)

layers = sss.split("photo.jpg")
layers.save("out/photo")

splitter = sss.Splitter(device="cpu")
scene = splitter.prepare(sss.read_image("photo.jpg"))
for k in (3, 5, "auto"):
    layers = scene.layers(k)
    height, width, count = layers.alpha.shape
    assert layers.colors.shape == (height, width, count, 3)
    print(f"layers({k!r}): alpha {layers.alpha.shape}")
layers = scene.layers(5)
layers.merge([0, 2]).cutout().save("person.png")

assert Image.open("person.png").mode == "RGBA"
written = sorted(file.name for file in Path("out/photo").iterdir())
assert {"layers.npz", "layer_0.png", "overview.png", "report.json"} <= set(written), written
site = Path(sss.__file__).parents[1]
assert site.name == "site-packages", site
assert not any((site / name).exists() for name in ("data", "configs", "checkpoints", "tests"))
loaded = {name for name in ("torch", "timm", "sss.data") if name in sys.modules}
assert not loaded, f"splitting a photo loaded {loaded}"
assert importlib.util.find_spec("torch") is None, "this environment should hold the core alone"
print(f"sss {sss.__version__} from the wheel wrote {', '.join(written)}")
