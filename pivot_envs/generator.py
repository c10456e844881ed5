"""Random generators as JSON-able data, and back."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator; of Gymnasium's own kind (PCG64) it is JSON-able."""
    return copy.deepcopy(dict(generator.bit_generator.state))


def generator_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Rebuild a generator from ``generator_state``.

    Raises:
        KeyError: An entry is missing.
        TypeError: An entry has the wrong type.
        ValueError: The state is of another kind of generator.
    """
    bit_generator: np.random.BitGenerator = np.random.PCG64()
    bit_generator.state = dict(state)
    return np.random.Generator(bit_generator)
