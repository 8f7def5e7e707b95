import cv2
import numpy as np
import pytest
import torch

from sss.errors import InputError
from sss.training.config import DataConfig, OptimConfig, TrainConfig
from sss.training.memory import explain_out_of_memory


def advice(error: Exception, processes: int = 1, precision: str = "no", **optim: int) -> str:
    config = TrainConfig(data=DataConfig(crop=96), optim=OptimConfig(**optim), precision=precision)
    with pytest.raises(InputError) as caught, explain_out_of_memory(config, processes):
        raise error
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has")


def test_what_to_lower() -> None:
    assert advice(CUDA, batch=8, accumulate=2) == (
        "out of memory with 4 photo(s) of 96×96 at once; lower the photos computed at once with "
        "--optim.accumulate 4, or data.crop, or the precision with --precision bf16 (on a GPU)"
    )
    assert advice(CUDA, batch=8, accumulate=4, processes=2, precision="bf16") == (
        "out of memory with 1 photo(s) of 96×96 at once; lower data.crop"
    )


@pytest.mark.parametrize(
    ("batch", "processes", "accumulate", "next_one"),
    [(9, 1, 1, 3), (6, 1, 2, 3), (7, 1, 1, 7), (12, 3, 2, 4), (2, 1, 1, 2)],
)
def test_the_advice_splits_the_batch_evenly(
    batch: int, processes: int, accumulate: int, next_one: int
) -> None:
    assert batch % (processes * next_one) == 0
    text = advice(CUDA, processes, batch=batch, accumulate=accumulate)
    assert f"--optim.accumulate {next_one}," in text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might"),
        cv2.error("alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
        RuntimeError(
            "Caught error in DataLoader worker process 0.\nOriginal Traceback (most "
            "recent call last): DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    ],
)
def test_other_libraries(error: Exception) -> None:
    assert advice(error, batch=8).startswith("out of memory with 8 photo(s)")


def test_real_allocations() -> None:
    config = TrainConfig()
    with pytest.raises(InputError, match="out of memory"), explain_out_of_memory(config, 1):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(InputError, match="out of memory"), explain_out_of_memory(config, 1):
        np.empty(2**60, dtype=np.uint8)


@pytest.mark.parametrize("error", [RuntimeError("shapes"), ValueError("out of memory")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explain_out_of_memory(TrainConfig(), 1):
        raise error
    assert caught.value is error
