"""SegNet (Badrinarayanan, Kendall & Cipolla, TPAMI 2017) on a VGG with batch norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.norms import conv_block
from sss.models.torchvision_encoders import STRIDE, VGG_BN, VGGEncoder, check_encoder
from sss.models.weights import start_torchvision


class SegNet(nn.Module):
    """The encoder mirrored: what each max-pooling took goes back to where it stood.

    No features pass from encoder to decoder, only the places of the maxima, which keep the edges.
    """

    not_in_onnx = "unpooling to where the maxima stood"

    def __init__(self, encoder: VGGEncoder, dim: int, dropout: float, norm: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.stages = nn.ModuleList()
        for entering, *widths in reversed(encoder.widths):
            # As many convolutions as the encoder's stage has; the last one gives the channels that
            # the next finer stage unpools. The finest stage's last one gives the embedding.
            outputs = [*widths[1:], entering] if entering != 3 else widths[1:]
            inputs = [widths[-1], *outputs[:-1]]
            self.stages.append(
                nn.Sequential(
                    *(conv_block(a, b, norm) for a, b in zip(inputs, outputs, strict=False))
                )
            )
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(encoder.widths[0][-1], dim, kernel_size=3, padding=1)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of 32."""
        pooled = self.encoder(photos)
        values = pooled[-1][0]
        for stage, (_, indices) in zip(self.stages, reversed(pooled), strict=True):
            values = stage(F.max_unpool2d(values, indices, kernel_size=(2, 2), stride=(2, 2)))
        return self.head(self.dropout(values))


def build_segnet(config: ModelConfig) -> EmbeddingNetwork:
    """SegNet on one of torchvision's VGGs with batch norm (paper: vgg16_bn)."""
    check_encoder(config, VGG_BN)
    encoder = VGGEncoder(str(config.encoder))
    start_torchvision(encoder, config)
    return EmbeddingNetwork(
        SegNet(encoder, config.dim, config.dropout, config.decoder_norm),
        encoder,
        config.dim,
        STRIDE,
    )
