"""FCN-8s (Long, Shelhamer & Darrell, CVPR 2015) on a VGG."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.torchvision_encoders import STRIDE, VGG, VGG_BN, VGGEncoder, check_encoder
from sss.models.weights import start_torchvision

FC_WIDTH = 1024


class FCN8s(nn.Module):
    """Embeddings at strides 32, 16 and 8, each upsampled and added to the next finer one.

    Two things are lighter than in the paper. Its fc6 and fc7 (7×7 and 1×1, 4096 wide) hold nine of
    ten weights; here they are 1024 wide, and fc6 is a 3×3 convolution of dilation 3, which spans
    the same 7×7. Upsampling is bilinear, where the paper learns transposed convolutions that start
    as bilinear. Padding in the network takes the place of its 100 pixels around the photo.
    """

    def __init__(self, encoder: VGGEncoder, dim: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        pool3, pool4, pool5 = (widths[-1] for widths in encoder.widths[2:])
        self.fc = nn.Sequential(
            nn.Conv2d(pool5, FC_WIDTH, kernel_size=3, padding=3, dilation=3),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(FC_WIDTH, FC_WIDTH, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
        )
        self.embed32 = nn.Conv2d(FC_WIDTH, dim, kernel_size=1)
        self.embed16 = nn.Conv2d(pool4, dim, kernel_size=1)
        self.embed8 = nn.Conv2d(pool3, dim, kernel_size=1)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of 32."""
        pool3, pool4, pool5 = (values for values, _ in self.encoder(photos)[2:])
        embedded = self.embed16(pool4) + _doubled(self.embed32(self.fc(pool5)))
        embedded = self.embed8(pool3) + _doubled(embedded)
        return F.interpolate(embedded, photos.shape[-2:], mode="bilinear", align_corners=False)


def _doubled(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)


def build_fcn(config: ModelConfig) -> EmbeddingNetwork:
    """FCN-8s on one of torchvision's VGGs (paper: vgg16)."""
    check_encoder(config, VGG + VGG_BN)
    encoder = VGGEncoder(str(config.encoder))
    start_torchvision(encoder, config)
    return EmbeddingNetwork(
        FCN8s(encoder, config.dim, config.dropout),
        encoder,
        config.dim,
        STRIDE,
    )
