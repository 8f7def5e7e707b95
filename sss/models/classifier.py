"""A classifier of photos whose last layer shows where it saw what.

B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba, *Learning Deep Features for Discriminative
Localization*, CVPR 2016; as Ahn & Kwak, *Learning Pixel-level Semantic Affinity with Image-level
Supervision for Weakly Supervised Semantic Segmentation*, CVPR 2018, Sec. 3.2, use it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sss.models.base import ModelConfig
from sss.models.encoder_network import EncoderNetwork
from sss.models.encoders import Staged, build_dilated_encoder


class Classifier(EncoderNetwork):
    """An encoder, global average pooling and one linear layer without bias.

    Args:
        staged: The encoder; only its last stage is used.
        classes: How many.
        dropout: Fraction of the features before the linear layer that a training step blanks.
    """

    def __init__(self, staged: Staged, classes: int, dropout: float = 0.0) -> None:
        super().__init__(staged.encoder, staged.mean, staged.std)
        self.backbone = staged.encoder
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(staged.encoder.out_channels[-1], classes, bias=False)
        # The features are not negative: as large weights as usual would begin with a large loss.
        nn.init.normal_(self.classify.weight, std=0.01)

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1], sides multiples of 32, to (B, C) logits."""
        features = self.backbone(self.normalize(photos))[-1]
        logits: Tensor = self.classify(self.dropout(features.mean((2, 3))))
        return logits

    def activations(self, features: Tensor) -> Tensor:
        """Class activation maps of the last stage's outputs: ``w_cᵀ f(x, y)``.

        Their mean over the photo is the class's logit.

        Args:
            features: (B, D, h, w).

        Returns:
            (B, C, h, w), of both signs.
        """
        return torch.einsum("cd,bdyx->bcyx", self.classify.weight, features)


def build_classifier(config: ModelConfig, classes: int, stride: int) -> Classifier:
    """A classifier on the encoder that ``config`` names.

    Args:
        config: Its ``encoder``, ``weights`` and ``dropout`` count.
        classes: How many.
        stride: Of the last stage, see :func:`sss.models.encoders.build_dilated_encoder`.

    Raises:
        InputError: Encoder or weights cannot be had.
    """
    network = Classifier(build_dilated_encoder(config, stride), classes, config.dropout)
    network.freeze_statistics = config.weights != "none"
    if config.freeze_encoder:
        network.freeze_encoder()
    return network
