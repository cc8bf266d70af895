r"""Single weights by name, as the class notebook's task 6 writes them: w_{1, 2}^{(1)}.

    w_12^(1)    from input 2 to neuron 1 of layer 1; the input layer is not counted
    w_1,12^(2)  with a comma, where a number has more than a digit
    b_1^(1)     the bias of neuron 1 of layer 1

Braces are LaTeX's and optional.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from models.notebook.neuron import BadNetworkError

_NUMBER = r"[1-9][0-9]{0,3}"
_BELOW = rf"{_NUMBER}(?: *, *{_NUMBER})?"
_NAME = re.compile(
    rf"(?P<kind>[wb])_(?:\{{ *(?P<braced>{_BELOW}) *\}}|(?P<below>{_BELOW}))"
    rf"\^(?:\{{ *\((?P<raised>{_NUMBER})\) *\}}|\((?P<above>{_NUMBER})\))"
)


class Place(NamedTuple):
    """The position of a weight, all counted from 0; ``input`` is None for a bias."""

    layer: int
    neuron: int
    input: int | None


def find(name: str) -> Place | None:
    """Return the position of the weight of this name, or None if it is not the name of a weight."""
    match = _NAME.fullmatch(name.strip())
    if match is None:
        return None
    below = match["braced"] or match["below"]
    layer = int(match["raised"] or match["above"]) - 1
    if match["kind"] == "b":
        return None if "," in below else Place(layer, int(below) - 1, None)
    parts = below.split(",") if "," in below else list(below)
    if len(parts) != 2 or "0" in parts:  # noqa: PLR2004 - a weight has two ends
        return None
    neuron, source = (int(part) - 1 for part in parts)
    return Place(layer, neuron, source)


def check_name(name: str, layers: Sequence[int], position: int) -> None:
    """Raise `BadNetworkError`, with what there is, if no weight of the network has this name."""
    place = find(name)
    if place is None:
        raise BadNetworkError(
            f"{name} is no weight's name: w_12^(1) is the weight from input 2 to neuron 1 of layer 1, "
            "w_1,12^(2) one whose numbers have more than a digit, b_1^(1) a bias",
            "weights",
            position,
        )
    if place.layer >= len(layers) - 1:
        raise BadNetworkError(
            f"there is no {name}: the layers that have weights are 1 to {len(layers) - 1}",
            "weights",
            position,
        )
    inputs, neurons = layers[place.layer], layers[place.layer + 1]
    if place.neuron >= neurons or (place.input is not None and place.input >= inputs):
        raise BadNetworkError(
            f"there is no {name}: layer {place.layer + 1} has neurons 1 to {neurons}, inputs 1 to {inputs}",
            "weights",
            position,
        )
