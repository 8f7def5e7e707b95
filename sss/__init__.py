"""Semantic Soft Segmentation: train pixel embeddings, split photos into soft layers.

Reference: Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, *Semantic Soft Segmentation*,
ACM Transactions on Graphics 37(4), 2018, https://doi.org/10.1145/3197517.3201275.
"""

__version__ = "0.1.0"
