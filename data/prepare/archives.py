"""Which archives hold which data set: addresses, sizes, hashes, and where their files go.

Sizes and SHA-256 of COCO's archives are those that TensorFlow Datasets 4.9.10 checks
(``url_checksums/coco.txt``); several public projects state the same SHA-256 and 70,763,455 bytes
for BSDS500, and those of VOC 2012. Nobody seems to have published a hash or an exact size of
COCO-Stuff's label maps: see :class:`Archive` for what is done instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """Files of an archive that belong in one folder.

    Attributes:
        prefix: Their folder in the archive, ending with ``/``.
        names: Pattern of their bare names, like ``*.jpg``.
        folder: Where they go, below the home of the data set.
        count: How many there are.
        inner: The archive inside the archive that holds them; empty when there is none.
    """

    prefix: str
    names: str
    folder: str
    count: int
    inner: str = ""

    def holds(self, name: str) -> bool:
        """Whether a bare file name is one of this part's; hidden files never are."""
        return fnmatchcase(name, self.names) and not name.startswith(".")

    def bare_name(self, member: str) -> str | None:
        """Name in the folder of a member of the archive; none when it is not of this part.

        A bare name has no folders of its own, so no member can be written anywhere else.
        """
        name = member.removeprefix(self.prefix)
        ours = member.startswith(self.prefix) and not set(name) & set("/\\:")
        return name if ours and self.holds(name) else None


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Without a published hash the download is compared with the length that the server states,
    unpacking compares every file with the archive's own CRC, and the SHA-256 of the first archive
    that unpacked well is kept, so that later ones are compared with it.

    Attributes:
        url: Official address.
        parts: What is taken out of it.
        unpacked: About how many bytes that takes on the disk.
        size: Exact size in bytes, where published.
        sha256: Of the whole file, where published.
        about: About how many bytes it has, where ``size`` is not published.
    """

    url: str
    parts: tuple[Part, ...]
    unpacked: int
    size: int | None = None
    sha256: str | None = None
    about: int = 0

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.url.rsplit("/", 1)[1]

    @property
    def bytes(self) -> int:
        """Size in bytes, exact where it is published."""
        return self.about if self.size is None else self.size


@dataclass(frozen=True)
class Names:
    """A JSON file whose ``file_name`` entries with one suffix must all lie in one folder."""

    json: str
    suffix: str
    folder: str


@dataclass(frozen=True)
class DataSet:
    """A data set on disk.

    Attributes:
        name: What the command line calls it.
        title: One line for people.
        terms: Licences of its parts.
        homes: Folders below the root that it may lie in; a new one is made at the first.
        markers: What lies in a home that is really there.
        archives: What it is made of, the largest first.
        pairs: Folders whose files belong together by name (the suffix aside).
        lists: JSON files that name files.
    """

    name: str
    title: str
    terms: str
    homes: tuple[str, ...]
    markers: tuple[str, ...]
    archives: tuple[Archive, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    lists: tuple[Names, ...] = ()

    def home(self, root: Path) -> Path:
        """The folder of the data set below ``root``, whether it exists or not."""
        places = [root / home for home in self.homes]
        for place in places:
            if all((place / marker).exists() for marker in self.markers):
                return place
        return places[0]


# http, since the certificate at images.cocodataset.org is made out to s3.amazonaws.com: the
# SHA-256 is what protects these.
_COCO = "http://images.cocodataset.org"
# A photo or map takes half a block of 4 KiB more than its bytes on the disk, on average; photos
# and PNG files do not shrink in a zip.
_BLOCK = 2048
_TRAIN, _VAL = 118_287, 5_000

PHOTOS = (
    Archive(
        f"{_COCO}/zips/train2017.zip",
        (Part("train2017/", "*.jpg", "images/train2017", _TRAIN),),
        unpacked=19_336_861_798 + _TRAIN * _BLOCK,
        size=19_336_861_798,
        sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
    Archive(
        f"{_COCO}/zips/val2017.zip",
        (Part("val2017/", "*.jpg", "images/val2017", _VAL),),
        unpacked=815_585_330 + _VAL * _BLOCK,
        size=815_585_330,
        sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
)

INSTANCES = Archive(
    f"{_COCO}/annotations/annotations_trainval2017.zip",
    (
        Part("annotations/", "instances_train2017.json", "annotations", 1),
        Part("annotations/", "instances_val2017.json", "annotations", 1),
    ),
    unpacked=490_000_000,  # 470 MB and 20 MB
    size=252_907_541,
    sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)

PANOPTIC = Archive(
    f"{_COCO}/annotations/panoptic_annotations_trainval2017.zip",
    tuple(
        part
        for split, count in (("train2017", _TRAIN), ("val2017", _VAL))
        for part in (
            Part("annotations/", f"panoptic_{split}.json", "annotations", 1),
            Part(
                f"panoptic_{split}/",
                "*.png",
                f"annotations/panoptic_{split}",
                count,
                inner=f"annotations/panoptic_{split}.zip",
            ),
        )
    ),
    # A cautious guess (two zips inside, PNG files, JSON); unpacking measures it before it starts.
    unpacked=2_500_000_000,
    size=860_725_834,
    sha256="c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
)

STUFF_MAPS = Archive(
    # https, unlike COCO's: there is no published hash to protect it.
    "https://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
    "stuffthingmaps_trainval2017.zip",
    (
        Part("train2017/", "*.png", "annotations/stuffthingmaps/train2017", _TRAIN),
        Part("val2017/", "*.png", "annotations/stuffthingmaps/val2017", _VAL),
    ),
    unpacked=700_000_000 + (_TRAIN + _VAL) * _BLOCK,
    about=700_000_000,  # "659 MB", says the data set's page
)

BSDS = Archive(
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
    tuple(
        part
        for split, count in (("train", 200), ("val", 100), ("test", 200))
        for part in (
            Part(f"BSR/BSDS500/data/images/{split}/", "*.jpg", f"images/{split}", count),
            Part(f"BSR/BSDS500/data/groundTruth/{split}/", "*.mat", f"groundTruth/{split}", count),
        )
    ),
    unpacked=74_332_160,  # of the whole tar
    size=70_763_455,
    sha256="97e49d31764f3912f0c4122707d53062ac9e783ba0f095e447a4d53c1a41af8e",
)

_VOC_HOME = "VOCdevkit/VOC2012"

VOC = Archive(
    # http, as the server's other address is another one: the SHA-256 is what protects it.
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    (
        Part(f"{_VOC_HOME}/JPEGImages/", "*.jpg", "JPEGImages", 17_125),
        Part(f"{_VOC_HOME}/Annotations/", "*.xml", "Annotations", 17_125),
        Part(f"{_VOC_HOME}/SegmentationClass/", "*.png", "SegmentationClass", 2_913),
        *(
            Part(f"{_VOC_HOME}/ImageSets/{kind}/", f"{name}.txt", f"ImageSets/{kind}", 1)
            for kind in ("Main", "Segmentation")
            for name in ("train", "val", "trainval")
        ),
    ),
    unpacked=1_999_639_040 + (2 * 17_125 + 2_913) * _BLOCK,
    size=1_999_639_040,
    sha256="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
)

_PHOTO_TERMS = (
    "photos: Flickr's terms of use and a Creative Commons licence of each photo's own (named in "
    "the JSON)"
)
_SPLITS = ("train2017", "val2017")

DATASETS: dict[str, DataSet] = {
    "cocostuff": DataSet(
        "cocostuff",
        "COCO-Stuff: photos, stuff and thing maps, object instances",
        f"{_PHOTO_TERMS}; instances, stuff and thing maps: CC BY 4.0",
        ("cocostuff",),
        ("images",),
        (*PHOTOS, STUFF_MAPS, INSTANCES),
        tuple((f"images/{s}", f"annotations/stuffthingmaps/{s}") for s in _SPLITS),
        tuple(Names(f"annotations/instances_{s}.json", ".jpg", f"images/{s}") for s in _SPLITS),
    ),
    "coco-panoptic": DataSet(
        "coco-panoptic",
        "COCO panoptic: photos (shared with cocostuff), a map of all things and stuff",
        f"{_PHOTO_TERMS}; annotations: CC BY 4.0",
        ("cocostuff", "coco_panoptic"),
        ("annotations/panoptic_val2017.json", "images"),
        (*PHOTOS, PANOPTIC),
        tuple((f"images/{s}", f"annotations/panoptic_{s}") for s in _SPLITS),
        tuple(
            Names(f"annotations/panoptic_{s}.json", suffix, folder)
            for s in _SPLITS
            for suffix, folder in (
                (".jpg", f"images/{s}"),
                (".png", f"annotations/panoptic_{s}"),
            )
        ),
    ),
    "bsds500": DataSet(
        "bsds500",
        "BSDS500: photos segmented by several people each",
        "research use; cite Arbeláez et al., TPAMI 2011",
        ("bsds500", "bsds500/data", "bsds500/BSDS500/data", "BSR/BSDS500/data"),
        ("images",),
        (BSDS,),
        tuple((f"images/{s}", f"groundTruth/{s}") for s in ("train", "val", "test")),
    ),
    "voc2012": DataSet(
        "voc2012",
        "PASCAL VOC 2012: photos, the names and boxes of their objects, masks of some",
        "photos: Flickr's terms of use; cite Everingham et al., IJCV 2010",
        ("voc2012", _VOC_HOME),
        ("JPEGImages",),
        (VOC,),
        (("JPEGImages", "Annotations"), ("Annotations", "JPEGImages")),
    ),
}
