"""The graph of a backward pass, its nodes in the order of their visits.

Of the nodes whose gradients are complete, torch's engine visits the one that was computed last; a leaf as
soon as it can. The order is not derived but observed: a hook of each node records its visit. Nodes have the
names of the tensor language's operations, with their position in the program.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node as AutogradNode
from torch.utils.hooks import RemovableHandle

from models.notebook.tensor_language.runtime.errors import OperationError
from models.notebook.tensor_language.runtime.values import Value, meaning
from models.notebook.tensor_language.syntax.program import Operation, Step, Subscript


@dataclass(frozen=True)
class Node:
    """One node; its number is when backward visits it, from 0.

    operation   as the program has it (`*`, `sum`), or torch's own name of a part of one; a variable's name
    kind        "variable" where a gradient ends, "operation" before
    shape       of the value whose gradient arrives here
    line, column   in the program; None of a variable and of what is only part of an operation
    """

    number: int
    kind: str
    operation: str
    shape: tuple[int, ...]
    line: int | None
    column: int | None


@dataclass(frozen=True)
class Edge:
    """A gradient goes from one node to another."""

    source: int
    target: int


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of backward, and the edges along which it goes."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def dot(self) -> str:
        """The same in Graphviz's language."""
        lines = ["digraph backward {"]
        for node in self.nodes:
            form = "ellipse" if node.kind == "variable" else "box"
            size = "×".join(map(str, node.shape))
            label = f"{node.number}: {node.operation}" + (f" [{size}]" if size else "")
            lines.append(f'  n{node.number} [label="{label}", shape={form}];')
        lines += [f"  n{edge.source} -> n{edge.target};" for edge in self.edges]
        return "\n".join([*lines, "}"]) + "\n"


class Trace:
    """Records which operation of a program made which autograd node, so that the nodes have names."""

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        self._leaves = leaves
        self._steps: dict[AutogradNode, tuple[str, Step]] = {}

    def watch(self, step: Step, value: Value) -> None:
        """Record which step made a value's node; the interpreter calls this after each step."""
        if (
            isinstance(step, Operation | Subscript)
            and isinstance(value, Tensor)
            and value.grad_fn is not None
        ):
            name = step.opcode if isinstance(step, Operation) else "[]"
            self._steps.setdefault(value.grad_fn, (name, step))

    def graph(self, value: Tensor) -> Graph:
        """Return what backward from this value visits; no nodes if it depends on no variable."""
        if not value.requires_grad:
            return Graph((), ())
        root = torch.autograd.graph.get_gradient_edge(value).node
        shapes: dict[AutogradNode, tuple[int, ...]] = {}
        hooks = [_record_visit(node, shapes) for node in _reachable(root)]
        try:
            torch.autograd.backward(value, retain_graph=True)
        except RuntimeError as error:
            raise OperationError(meaning(error)) from error
        finally:
            for hook in hooks:
                hook.remove()
        numbers = {node: number for number, node in enumerate(shapes)}
        nodes = tuple(self._node(numbers[node], node, shape) for node, shape in shapes.items())
        edges = tuple(
            Edge(numbers[node], numbers[target])
            for node in shapes
            for target, _ in node.next_functions
            if target in numbers
        )
        return Graph(nodes, edges)

    def _node(self, number: int, node: AutogradNode, shape: tuple[int, ...]) -> Node:
        variable = getattr(node, "variable", None)  # only the nodes of leaves have it
        for name, leaf in self._leaves.items():
            if leaf is variable:
                return Node(number, "variable", name, shape, None, None)
        if node not in self._steps:
            own_name = node.name().rstrip("0123456789").removesuffix("Backward")
            return Node(number, "operation", own_name, shape, None, None)
        name, step = self._steps[node]
        return Node(number, "operation", name, shape, step.line, step.column)


def _reachable(root: AutogradNode) -> list[AutogradNode]:
    nodes = {root: None}
    pending = [root]
    while pending:
        for node, _ in pending.pop().next_functions:
            if node is not None and node not in nodes:
                nodes[node] = None
                pending.append(node)
    return list(nodes)


def _record_visit(node: AutogradNode, shapes: dict[AutogradNode, tuple[int, ...]]) -> RemovableHandle:
    """Add a hook that enters the node, with its gradient's shape, when backward visits it."""

    def enter(gradients: tuple[Tensor | None, ...]) -> None:
        shape = next((gradient.shape for gradient in gradients if gradient is not None), ())
        shapes.setdefault(node, tuple(shape))

    return node.register_prehook(enter)
