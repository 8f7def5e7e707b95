"""Any folder of photos and label maps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, names_in, photo_names, some_names, tell
from sss.data.frames import check_frames, turn_labels
from sss.errors import InputError
from sss.image import read_rgb8
from sss.image.label_maps import LABEL_SUFFIXES, label_map_size, read_label_map
from sss.region_labels import REST


class FolderDataset:
    """Photos in ``images/`` and label maps of the same stem in ``labels/``.

    With ``images/SPLIT`` there, that split is read from ``images/SPLIT`` and ``labels/SPLIT``;
    with photos in ``images/`` itself, every split is all of them. A label map is a PNG (or another
    kind of ``LABEL_SUFFIXES``) of one channel: the number of each pixel's region, 255 (16 bits:
    65535) where it is unlabelled; of a palette, its indices. Labels may be drawn on photos upright
    or as stored.

    Args:
        root: Folder that holds ``images`` and ``labels``.
        split: Name of a folder in both; needs not be there.
        labels: Name of the folder of label maps, such as ``instances``, in place of ``labels``.
        rest: Value of the label maps that stands for :data:`sss.region_labels.REST`; default: none.

    Raises:
        InputError: There are no photos, or some have no label map or one of another size.
    """

    def __init__(
        self, root: Path, split: str, labels: str = "labels", rest: int | None = None
    ) -> None:
        photos, maps = root / "images", root / labels
        self.rest = rest
        if (photos / split).is_dir():
            photos, maps = photos / split, maps / split
        names, found = photo_names(photos), _label_names(maps)
        if not names:
            raise MissingDataError(
                f"no photos in {root / 'images'} nor in {root / 'images' / split}; put them there, "
                f"and the label map of each as PNG of the same name into {labels}"
            )
        stems = Counter(Path(name).stem for name in names)
        if sharing := [name for name in names if stems[Path(name).stem] > 1]:
            tell(
                f"{photos}: {len(sharing)} photos are alike but for their endings and share a "
                f"label map ({some_names(sharing)}); remove those that it was not drawn on"
            )
        missing = [name for name in names if Path(name).stem not in found]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} photos in {photos} have no label map in {maps} "
                f"({some_names(missing)}); add NAME.png for each or remove the photos"
            )
        if alone := sorted(found[stem] for stem in found.keys() - stems.keys()):
            tell(
                f"{maps}: passed over {len(alone)} label maps without a photo ({some_names(alone)})"
            )
        self.photos = [photos / name for name in names]
        self.maps = [maps / found[photo.stem] for photo in self.photos]
        self._check_sizes(photos)

    def _check_sizes(self, folder: Path) -> None:
        unfit = check_frames(folder, self.photos, lambda index: label_map_size(self.maps[index]))
        if unfit:
            names = [self.photos[index].name for index in unfit]
            raise InputError(
                f"{len(unfit)} of {len(self.photos)} photos in {folder} have label maps of another "
                f"size ({some_names(names)}); label those photos, resize their maps without "
                "interpolation, or remove them"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (1, H, W) int32."""
        photo = read_rgb8(self.photos[index])
        labels = turn_labels(read_label_map(self.maps[index]), photo, self.maps[index])
        if self.rest is not None:
            labels[labels == self.rest] = REST
        return photo.pixels, labels[None]


def _label_names(folder: Path) -> dict[str, str]:
    """Names of the label maps in a folder by their stems; of several, that of the first kind.

    Raises:
        InputError: They are of a kind that does not keep values, or cannot be listed.
    """
    names = names_in(folder, LABEL_SUFFIXES)
    if not names and (others := names_in(folder, (".jpg", ".jpeg", ".webp", ".gif"))):
        raise InputError(
            f"the label maps in {folder} are of a kind that does not keep the regions' numbers "
            f"({some_names(others)}): JPEG and WebP blur them at edges, GIF counts them anew; "
            "export them as PNG"
        )
    by_kind = sorted(names, key=lambda name: LABEL_SUFFIXES.index(Path(name).suffix.lower()))
    return {Path(name).stem: name for name in reversed(by_kind)}
