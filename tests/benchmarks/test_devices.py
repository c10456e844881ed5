import pytest
import torch

from benchmarks.devices import find_device, gpu_name

BEST = "cuda" if torch.cuda.is_available() else "cpu"


def test_the_gpu_preset_takes_the_gpu_if_there_is_one():
    assert find_device(None, "gpu") == BEST
    assert find_device(None, "full") == "cpu"


def test_a_named_device_is_taken_whatever_the_preset():
    assert find_device("cpu", "gpu") == "cpu"
    assert find_device("auto", "quick") == BEST


def test_a_device_that_torch_does_not_know_is_refused():
    with pytest.raises(ValueError, match="expected --device to be auto or a device of torch"):
        find_device("gpu7", "quick")


def test_the_processor_is_no_gpu():
    assert gpu_name(torch.device("cpu")) is None
