"""The spectral core's heavy steps on torch tensors, optional.

The same functions with the same arguments as in :mod:`sss.spectral`; they take NumPy arrays or
tensors and give tensors, which stay on the device from step to step. :mod:`sss.cuda.backend`, which
chooses between both, is the one module here that does not import torch.

No sum is left to atomic operations, whose order is chance: runs on one machine are bit-equal.
Everything expects torch's default, float32 products without TF32.
"""
