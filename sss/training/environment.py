"""What the environment may not decide: a run is what its configuration says.

Torch is not imported here: some variables are read when it is.
"""

from __future__ import annotations

import logging
import os

from sss.distributed import current_rank

log = logging.getLogger(__name__)

OVERRULED = (
    # Of accelerate, also by its own config file: `accelerate launch` hands that on as variables.
    "ACCELERATE_",
    # Precision of products: of NVIDIA's libraries, of torch, of oneDNN.
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    # How files are read that may come from elsewhere.
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD",
)
"""Beginnings of variables that a configuration has keys for, or that this program decides."""

NOTED = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "OMP_DYNAMIC",
    "OMP_THREAD_LIMIT",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENCV_CPU_DISABLE",
    "NPY_DISABLE_CPU_FEATURES",
    "CUBLAS_WORKSPACE_CONFIG",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "DISABLE_ADDMM_CUDA_LT",
)
"""Variables that choose among instructions and algorithms of equal precision. Whoever sets them has
a machine that needs it; the sums are in another order, which shows in their last bits."""


def overrule_environment() -> None:
    """Take out of the environment what would overrule the configuration, and say so.

    Raises:
        InputError: torchrun's variables make no sense.
    """
    overruled = sorted(name for name in os.environ if name.startswith(OVERRULED))
    for name in overruled:
        del os.environ[name]
    if current_rank().is_first and overruled:
        log.info("not used, the configuration decides: %s", ", ".join(overruled))


def settle_environment() -> None:
    """Overrule the environment, and name what of it shows in the results all the same.

    Raises:
        InputError: torchrun's variables make no sense.
    """
    overrule_environment()
    noted = sorted(f"{name}={os.environ[name]}" for name in NOTED if name in os.environ)
    if current_rank().is_first and noted:
        log.info("shows in the last bits of the results: %s", ", ".join(noted))
