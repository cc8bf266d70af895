"""Where trainers compute: a device that is not here is refused, and results come back whole.

That a GPU gives the same numbers needs one: `python -m benchmarks.speed FOLDER device` compares them.
"""

import pytest
import torch

from models.recommender.class_model.gradient_descent import GradientDescentOptions
from models.recommender.devices import MissingDeviceError, find_device, to_processor
from models.recommender.mixed_effects.trainer import MixedEffectsOptions
from models.recommender.trainers import make_trainer
from tests.models.recommender.problems import class_responses


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_processor_is_the_default_and_always_there() -> None:
    for options in (GradientDescentOptions, MixedEffectsOptions):
        assert options.model_validate({}).device == "cpu"
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("name", ["gradient_descent", "mixed_effects"])
def test_a_device_that_is_not_here_is_refused_before_anything_is_learned(name: str) -> None:
    steps: list[object] = []
    with pytest.raises(MissingDeviceError, match="expected device cpu"):
        make_trainer(name, {"device": "cuda"}).fit(class_responses(), 1, steps.append)
    assert steps == []


def test_a_matrix_goes_to_a_device_with_all_of_its_numbers() -> None:
    there = class_responses().to(torch.device("meta"))
    assert {tensor.device.type for tensor in vars(there).values()} == {"meta"}
    here = class_responses()
    assert here.to(torch.device("cpu")) is here


def test_tensors_come_back_from_whatever_depth() -> None:
    responses = class_responses()
    back = to_processor(responses)
    assert torch.equal(back.values, responses.values)
    assert to_processor("a word") == "a word"
