"""What every network is to the rest of the project: photos in, one embedding per pixel out.

``(B, 3, H, W)`` float RGB in [0, 1] in, ``(B, dim, H, W)`` out, for any H, W of at least 16.
Normalisation and padding are part of the network, so training and inference cannot disagree on
them. The network of the paper took BGR from 0 to 255 minus a mean, as its Caffe weights wanted; the
weights used here want RGB in [0, 1] minus ImageNet's mean and divided by its standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.models.encoder_network import IMAGENET_MEAN, IMAGENET_STD, EncoderNetwork
from sss.models.tiling import Geometry, check_size, padding, reflects, scaled_size

DEFAULT_ENCODERS = {
    "hypercolumn": "tu-tf_efficientnet_lite2",
    "photo_unet": "mobilenet_v2",
    "unet": "mobilenet_v2",
    "unet_plain": "none",
    "deeplab_resnet101": "resnet101",
    "fcn": "vgg16",
    "segnet": "vgg16_bn",
    "vit": "vit_small_patch14_dinov2.lvd142m",
}
"""The encoder of each network where a config names none."""


@dataclass
class ModelConfig:
    """What defines a network; stored in its checkpoint.

    Attributes:
        name: Entry of the registry ``NETWORKS``.
        architecture: Of ``unet`` only: architecture of segmentation_models_pytorch, such as
            ``unet``, ``unetplusplus``, ``manet``, ``linknet``, ``fpn``, ``pspnet``, ``pan``,
            ``deeplabv3``, ``deeplabv3plus``, ``segformer``, ``upernet`` or ``dpt``.
        encoder: The pretrained part; default: see ``DEFAULT_ENCODERS``. Of ``photo_unet`` and
            ``unet`` segmentation_models_pytorch's name (``tu-NAME`` for any of timm's), of
            ``hypercolumn`` also ``deeplabv3_mobilenet_v2`` or ``deeplabv3plus_mobilenet_v2``, see
            :mod:`sss.models.deeplab_mobilenet`; of ``vit``
            timm's name of a vision transformer; of ``fcn`` torchvision's vgg11 to vgg19, with or
            without ``_bn``, of ``segnet`` with it. ``deeplab_resnet101`` has always ``resnet101``
            and ``unet_plain`` always ``none``.
        freeze_encoder: Whether training leaves the encoder as it is; default: only that of
            ``vit``.
        decoder_channels: Of ``photo_unet`` and of ``unet`` with the architectures unet,
            unetplusplus and manet: width of the decoder's blocks, coarsest first; as many encoder
            stages are used as there are widths, 3 to 5. Of ``vit``: the first is the width of its
            token branch, the last that of its photo branch. The other networks have widths of
            their own and ignore it.
        base_channels: Of ``unet_plain`` only: width of its first stage (paper: 64).
        hidden: Of ``hypercolumn`` only: width of its hidden layer.
        radius: Of ``hypercolumn`` only: length that every embedding is scaled to, so that only
            directions count; 0 leaves their lengths free.
        dim: Dimension of the embedding, 64 to 256.
        dropout: Fraction of the channels before the last layer that a training step blanks.
        decoder_norm: Normalisation in the decoder: ``batch``; ``group`` (8 groups of channels, or
            the most below 8 that divide them) and ``layer`` (one group), which do not depend on
            the other photos of a batch; or ``none``. ``deeplab_resnet101`` and ``fcn`` have none
            in any case.
        scales: Of the photo at inference, whose embeddings are averaged; training sees 1 only.
            [0.75, 1, 1.25], for one, finds more at three times the cost (Chen et al.,
            *DeepLab*, TPAMI 2018, Sec. 4.1, take the maximum over scales instead).
        weights: Start of the encoder: ``none`` (random), ``imagenet`` (downloaded; of ``vit`` the
            weights that the encoder's name says, ImageNet or not), or the path of a state dict in
            the layout of the encoder's library. ``unet_plain`` knows ``none`` only.
        second_encoder: Of ``hypercolumn`` only: one more encoder beside the first, or none.
        second_weights: Start of that one: ``none``, ``imagenet`` or a path, as ``weights``.
        scene_dim: Of ``hypercolumn`` with ``second_encoder`` deeplabv3plus_mobilenet_v2 only: how
            many of the embedding's dimensions are what its decoder says by itself, see
            :mod:`sss.models.scene_branch`; 0 puts its outputs into the hypercolumns.
        start: A checkpoint of ours, or a run's folder, whose weights a training run begins with
            wherever names and shapes agree.
        output_stride: Of a DeepLab on MobileNetV2: 16, or 8 for more detail at twice the time.
        position: Of ``hypercolumn`` only: whether a pixel's position is one of its inputs. With
            it, the same thing on two sides of a photo may get two embeddings.
    """

    name: str = "photo_unet"
    architecture: str = "unet"
    encoder: str | None = None
    freeze_encoder: bool | None = None
    decoder_channels: list[int] = field(default_factory=lambda: [128, 96, 64, 32])
    base_channels: int = 64
    hidden: int = 256
    radius: float = 0.0
    dim: int = 64
    dropout: float = 0.1
    decoder_norm: str = "batch"
    scales: list[float] = field(default_factory=lambda: [1.0])
    weights: str = "imagenet"
    second_encoder: str = ""
    second_weights: str = "none"
    scene_dim: int = 0
    start: str = ""
    output_stride: int = 16
    position: bool = True

    def without_start(self) -> ModelConfig:
        """A copy that begins with random weights, for a network whose own are loaded afterwards."""
        return replace(self, weights="none", second_weights="none", start="")

    def resolved(self) -> ModelConfig:
        """A copy in which the network's own defaults stand in place of ``None``."""
        return replace(
            self,
            encoder=self.encoder or DEFAULT_ENCODERS.get(self.name, ""),
            freeze_encoder=self.name == "vit"
            if self.freeze_encoder is None
            else self.freeze_encoder,
        )


class EmbeddingNetwork(EncoderNetwork):
    """Wraps a backbone into the contract of this module.

    Attributes:
        scales: In evaluation mode, the mean embedding of the photo at these scales is given.

    Args:
        backbone: Maps normalised (B, 3, h, w), h and w multiples of ``stride``, to
            (B, dim, h, w).
        encoder: The pretrained part of ``backbone``; it gets a lower learning rate.
        dim: Dimension of the embedding.
        stride: What the backbone needs its input's sides to be divisible by.
        mean: What the encoder's training subtracted from red, green and blue.
        std: What it divided them by.
        least_side: Least side that the backbone takes, a multiple of ``stride``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        encoder: nn.Module,
        dim: int,
        stride: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        least_side: int = 0,
    ) -> None:
        super().__init__(encoder, mean, std)
        self.backbone = backbone
        self.dim = dim
        self.stride = stride
        self.least_side = least_side
        self.scales = [1.0]

    def forward(self, photos: Tensor) -> Tensor:
        """Embed every pixel.

        Args:
            photos: (B, 3, H, W) float RGB in [0, 1], H and W at least 16.

        Returns:
            (B, dim, H, W) embeddings, unbounded; their Euclidean distance is what was trained.

        Raises:
            InputError: A side is shorter than 16 pixels.
        """
        check_size(photos.shape[-2:])
        if self.training or self.scales == [1.0]:
            return self.embed(photos)
        size = photos.shape[-2:]
        views = [
            resize(self.embed(resize(photos, scaled_size(size, scale))), size)
            for scale in self.scales
        ]
        return torch.stack(views).mean(0)

    def embed(self, photos: Tensor) -> Tensor:
        """Embed photos at their own scale, whatever ``scales``; as :meth:`forward` else."""
        height, width = photos.shape[-2:]
        padded, top, left = self.prepare(photos)
        embeddings: Tensor = self.backbone(padded)
        return embeddings[..., top : top + height, left : left + width]

    @property
    def calibrates(self) -> bool:
        """Whether the backbone measures statistics on training photos."""
        return hasattr(self.backbone, "calibrate")

    def calibrate(self, photos: Tensor) -> None:
        """Let the backbone measure statistics on training photos, if it keeps any.

        Called once, before the first step.

        Args:
            photos: (B, 3, H, W) float RGB in [0, 1].
        """
        if not self.calibrates:
            return
        backbone: Any = self.backbone
        was_training = self.training
        self.eval()
        backbone.calibrate(self.prepare(photos)[0])
        self.train(was_training)

    def prepare(self, photos: Tensor) -> tuple[Tensor, int, int]:
        """Normalised and padded photos, and the rows above and columns left of the photo."""
        size = photos.shape[-2:]
        pads = [padding(side, self.stride, self.least_side) for side in size]
        (top, bottom), (left, right) = pads
        mode = "reflect" if reflects(size, pads) else "replicate"
        return F.pad(self.normalize(photos), (left, right, top, bottom), mode=mode), top, left

    @property
    def geometry(self) -> Geometry:
        """The sizes of the network, for :mod:`sss.models.tiling`."""
        cell = getattr(self.backbone, "cell", 1)
        return Geometry(self.dim, self.stride, self.least_side, cell, tuple(self.scales))

    def embed_cells(self, photo: Tensor, place: Tensor) -> Tensor:
        """Embed the cells of a padded photo, or of a part of it, at its own scale.

        Args:
            photo: (1, 3, h, w) float RGB in [0, 1], h and w multiples of ``stride``.
            place: (4,) int64, all in pixels: the row and the column where it begins in the padded
                photo, and the height and width of that.

        Returns:
            (h / cell, w / cell, dim).
        """
        backbone: Any = self.backbone
        normalized = self.normalize(photo)
        if hasattr(backbone, "embed_cells"):
            cells = backbone.embed_cells(normalized, place)
        else:
            cells = backbone(normalized)
        return cells[0].permute(1, 2, 0)


def resize(values: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of (B, C, H, W), over the area of a pixel where it shrinks."""
    if list(values.shape[-2:]) == list(size):
        return values
    return F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)


def config_as_dict(config: ModelConfig) -> dict[str, Any]:
    """The part of ``config`` that a checkpoint needs: all but the start of the weights."""
    return asdict(config.resolved().without_start())
