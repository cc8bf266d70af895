"""The class notebook's cells as programs, each beside what the notebook prints of it.

A cell is named by its heading. What comes from an unseeded draw is left out; where a cell goes on from such
a draw, the printed draw is put in its place. Of NumPy's arrays the numbers are held, not the form.
"""

from typing import NamedTuple


class Cell(NamedTuple):
    heading: str
    program: str
    printed: str
    """What the notebook prints: the text of the tensor, or of Python's value."""


LIST = "[[1.0, 2.0, 3.0], \n     [4.0, 5.0, 6.0], \n     [7.0, 8.0, 9.0]]"
FLOATS = "tensor([[1., 2., 3.],\n        [4., 5., 6.],\n        [7., 8., 9.]])"
DOUBLES = FLOATS[:-1] + ", dtype=torch.float64)"
SQUARES = "a = torch.tensor([i**2 for i in range(10)])\n"
ALL_SEVEN = "tensor([[7., 7., 7., 7.],\n        [7., 7., 7., 7.],\n        [7., 7., 7., 7.]])"
GRID = "a = torch.tensor([i for i in range(25)]).reshape(5, 5)\n"
TWO = (
    "a = torch.tensor([i**2 for i in range(9)]).reshape((3, 3))\n"
    "b = torch.tensor([i**0.5 for i in range(9)]).reshape((3, 3))\n"
)
IDENTITY = (
    "id_matrix = torch.tensor(\n    [[1.0, 0.0, 0.0], \n     [0.0, 1.0, 0.0], \n     [0.0, 0.0, 1.0]]\n)\n"
)
DRAWN = "a = torch.tensor([3, 8, 7, 2, 6])\n"
DRAWN_ROWS = (
    "a = torch.tensor([[1, 6, 8],\n        [6, 4, 8],\n        [1, 5, 8],\n        [2, 5, 7],\n"
    "        [1, 0, 4]])\n"
)
VECTOR = "a = torch.tensor([1.0, 2.0, 3.0])\n"
BACKWARD_X = (
    "x = torch.tensor([2., -1., 3.], requires_grad=False)\n"
    "w = torch.tensor([4., 2., -1.], requires_grad=True)\n"
)
USERS = (
    "u0 = tensor([ 0.9887,  0.2676, -0.7881]); u1 = tensor([-1.7678,  0.1267, -0.4628])\n"
    "u2 = tensor([-0.2462, -1.4256,  1.1095])\n"
    "m0 = tensor([0.6, 0.4, -0.2]); m1 = tensor([-0.7, 0.8, -0.7]); m2 = tensor([0.8, -0.75, 0.9])\n"
)

CELLS = (
    Cell("Directly, np.array", f"a = np.array(\n    {LIST}\n)\n\nprint(a)\nprint()\na", DOUBLES),
    Cell("Directly, torch.tensor", f"t = torch.tensor(\n    {LIST}\n)\n\nprint(t)", FLOATS),
    Cell(
        "From a list, the list",
        f"l = {LIST}\n\nprint(l)",
        "[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]",
    ),
    Cell("From a list, np.array", f"l = {LIST}\na = np.array(l)\nprint(a)", DOUBLES),
    Cell("From a list, torch.tensor", f"l = {LIST}\nt = torch.tensor(l)\nprint(t)", FLOATS),
    Cell(
        "From a list comprehension, the list",
        "a = [i**2 for i in range(10)]\n\nprint(a)",
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]",
    ),
    Cell(
        "From a list comprehension, np.array",
        "a = [i**2 for i in range(10)]\nprint(np.array(a))",
        "tensor([ 0,  1,  4,  9, 16, 25, 36, 49, 64, 81])",
    ),
    Cell(
        "From a list comprehension, torch.tensor",
        "a = [i**2 for i in range(10)]\nprint(torch.tensor(a))",
        "tensor([ 0,  1,  4,  9, 16, 25, 36, 49, 64, 81])",
    ),
    Cell("From a numpy array", f"a = np.array(\n    {LIST}\n)\n\nt = torch.tensor(a)\n\nprint(t)", DOUBLES),
    Cell(
        "Ready-made functions, all zeros",
        "# All zeros\na = torch.zeros((3, 4))\nprint(a)",
        "tensor([[0., 0., 0., 0.],\n        [0., 0., 0., 0.],\n        [0., 0., 0., 0.]])",
    ),
    Cell("Ready-made functions, variant 1", "a = torch.full((3, 4), 7.0)\nprint(a)", ALL_SEVEN),
    Cell("Ready-made functions, variant 2", "a = torch.zeros((3, 4))\na[:] = 7.0\nprint(a)", ALL_SEVEN),
    Cell("Slicing in 1D, original", f"{SQUARES}print(a)", "tensor([ 0,  1,  4,  9, 16, 25, 36, 49, 64, 81])"),
    Cell("Slicing in 1D, first 5", f"{SQUARES}print(a[:5])", "tensor([ 0,  1,  4,  9, 16])"),
    Cell("Slicing in 1D, 3 to 5", f"{SQUARES}print(a[3:6])", "tensor([ 9, 16, 25])"),
    Cell("Slicing in 1D, last 3", f"{SQUARES}print(a[-3:])", "tensor([49, 64, 81])"),
    Cell("Slicing in 1D, every second", f"{SQUARES}print(a[::2])", "tensor([ 0,  4, 16, 36, 64])"),
    Cell(
        "Slicing in 2D, original",
        f"{GRID}print(a)",
        "tensor([[ 0,  1,  2,  3,  4],\n        [ 5,  6,  7,  8,  9],\n        [10, 11, 12, 13, 14],\n"
        "        [15, 16, 17, 18, 19],\n        [20, 21, 22, 23, 24]])",
    ),
    Cell(
        "Slicing in 2D, first 2 of the first 3 rows",
        f"{GRID}print(a[:3, :2])",
        "tensor([[ 0,  1],\n        [ 5,  6],\n        [10, 11]])",
    ),
    Cell(
        "Slicing in 2D, middle",
        f"{GRID}print(a[1:4, 1:4])",
        "tensor([[ 6,  7,  8],\n        [11, 12, 13],\n        [16, 17, 18]])",
    ),
    Cell(
        "Slicing in 2D, bottom right",
        f"{GRID}print(a[-3:, -3:])",
        "tensor([[12, 13, 14],\n        [17, 18, 19],\n        [22, 23, 24]])",
    ),
    Cell(
        "Setting values, to 5",
        f"{GRID}\na[1:4, 1:4] = 5.0\n\nprint(a)",
        "tensor([[ 0,  1,  2,  3,  4],\n        [ 5,  5,  5,  5,  9],\n        [10,  5,  5,  5, 14],\n"
        "        [15,  5,  5,  5, 19],\n        [20, 21, 22, 23, 24]])",
    ),
    Cell(
        "Setting values, second matrix",
        "b = torch.tensor([i**2 - i for i in range(9)]).reshape(3, 3)\nprint(b)",
        "tensor([[ 0,  0,  2],\n        [ 6, 12, 20],\n        [30, 42, 56]])",
    ),
    Cell(
        "Setting values, to the second matrix",
        f"{GRID}a[1:4, 1:4] = 5.0\nb = torch.tensor([i**2 - i for i in range(9)]).reshape(3, 3)\n"
        f"a[1:4, 1:4] = b\nprint(a)",
        "tensor([[ 0,  1,  2,  3,  4],\n        [ 5,  0,  0,  2,  9],\n        [10,  6, 12, 20, 14],\n"
        "        [15, 30, 42, 56, 19],\n        [20, 21, 22, 23, 24]])",
    ),
    Cell(
        "Operations, a",
        f"{TWO}print(a)",
        "tensor([[ 0,  1,  4],\n        [ 9, 16, 25],\n        [36, 49, 64]])",
    ),
    Cell(
        "Operations, b",
        f"{TWO}print(b)",
        "tensor([[0.0000, 1.0000, 1.4142],\n        [1.7321, 2.0000, 2.2361],\n"
        "        [2.4495, 2.6458, 2.8284]])",
    ),
    Cell(
        "Element-wise sum",
        f"{TWO}print(a + b)",
        "tensor([[ 0.0000,  2.0000,  5.4142],\n        [10.7321, 18.0000, 27.2361],\n"
        "        [38.4495, 51.6458, 66.8284]])",
    ),
    Cell(
        "Element-wise multiplication",
        f"{TWO}print(a * b)",
        "tensor([[  0.0000,   1.0000,   5.6569],\n        [ 15.5885,  32.0000,  55.9017],\n"
        "        [ 88.1816, 129.6418, 181.0193]])",
    ),
    Cell(
        "Matrix multiplication, np.matmul",
        f"{TWO}print(np.matmul(a, b))",
        "tensor([[ 11.5300,  12.5830,  13.5498],\n        [ 88.9501, 107.1438, 119.2157],\n"
        "        [241.6378, 303.3281, 341.4984]], dtype=torch.float64)",
    ),
    Cell(
        "Matrix multiplication, by the identity",
        f"{TWO}{IDENTITY}# Tensor a contained integers (type Long by default) and must be changed "
        f"to the float type\n"
        "a = a.type(torch.FloatTensor)\n\nprint(torch.matmul(id_matrix, a))",
        "tensor([[ 0.,  1.,  4.],\n        [ 9., 16., 25.],\n        [36., 49., 64.]])",
    ),
    Cell("Calculating the mean, drawn", f"{DRAWN}print(a)", "tensor([3, 8, 7, 2, 6])"),
    Cell("Calculating the mean", f"{DRAWN}print(torch.sum(a) / len(a))", "tensor(5.2000)"),
    Cell("Calculating the mean, item", f"{DRAWN}print((torch.sum(a) / len(a)).item())", "5.199999809265137"),
    Cell(
        "Mean of every row",
        f"{DRAWN_ROWS}print(torch.sum(a, axis=1) / a.shape[1])",
        "tensor([5.0000, 6.0000, 4.6667, 4.6667, 1.6667])",
    ),
    Cell(
        "Mean of every row, matrix form",
        f"{DRAWN_ROWS}print((torch.sum(a, axis=1) / a.shape[1]).reshape(-1, 1))  # -1 calculates "
        f"the right size",
        "tensor([[5.0000],\n        [6.0000],\n        [4.6667],\n        [4.6667],\n        [1.6667]])",
    ),
    Cell("More complex, power", f"{VECTOR}print(torch.pow(a, 2))", "tensor([1., 4., 9.])"),
    Cell("More complex, exp", f"{VECTOR}print(torch.exp(a))", "tensor([ 2.7183,  7.3891, 20.0855])"),
    Cell(
        "More complex, both",
        f"{VECTOR}print((torch.pow(a, 2) + torch.exp(a)) / torch.sum(a))",
        "tensor([0.6197, 1.8982, 4.8476])",
    ),
    Cell(
        "Tensor gradients, out",
        "x = torch.tensor([[2., -1.], [3., 1.]], requires_grad=True)\nout = x.pow(3).sum()\nprint(out)",
        "tensor(35.)",
    ),
    Cell("Backpropagation, x", f"{BACKWARD_X}print(x)", "tensor([ 2., -1.,  3.])"),
    Cell("Backpropagation, w", f"{BACKWARD_X}print(w)", "tensor([ 4.,  2., -1.])"),
    *(
        Cell(
            f"Embedding layer, score of user {user} and item {item}",
            f"{USERS}round(torch.sigmoid(torch.sum(u{user} * m{item})).item(), 2)",
            score,
        )
        for user, scores in enumerate(
            (("0.7", "0.52", "0.47"), ("0.29", "0.84", "0.13"), ("0.28", "0.15", "0.87"))
        )
        for item, score in enumerate(scores)
    ),
    Cell("Embedding layer, item 1", f"{USERS}m1", "tensor([-0.7000,  0.8000, -0.7000])"),
    Cell("Embedding layer, item 2", f"{USERS}m2", "tensor([ 0.8000, -0.7500,  0.9000])"),
)


class GradientCell(NamedTuple):
    heading: str
    expression: str
    variables: dict[str, list[float] | list[list[float]]]
    value: str
    gradients: dict[str, str]


ROWS: dict[str, list[float] | list[list[float]]] = {"x": [[2.0, -1.0, 3.0]], "y": [[4.0, 2.0, -1.0]]}
LOSS = "y = torch.sigmoid(torch.sum(x * w))\ntorch.pow(y - 0.65, 2)"


def _step(w: list[float], loss: str, gradient: str) -> GradientCell:
    return GradientCell(
        f"Backpropagation, at w = {w}", LOSS, {"w": w, "x": [2.0, -1.0, 3.0]}, loss, {"w": gradient}
    )


GRADIENT_CELLS = (
    GradientCell(
        "Tensor gradients, x.pow(3).sum()",
        "x.pow(3).sum()",
        {"x": [[2.0, -1.0], [3.0, 1.0]]},
        "tensor(35.)",
        {"x": "tensor([[12.,  3.],\n        [27.,  3.]])"},
    ),
    GradientCell(
        "Tensor gradients, torch.sum(x * y)",
        "torch.sum(x * y)",
        ROWS,
        "tensor(3.)",
        {"x": "tensor([[ 4.,  2., -1.]])", "y": "tensor([[ 2., -1.,  3.]])"},
    ),
    GradientCell(
        "Tensor gradients, sigmoid",
        "torch.sigmoid(torch.sum(x * y))",
        ROWS,
        "tensor(0.9526)",
        {"x": "tensor([[ 0.1807,  0.0904, -0.0452]])", "y": "tensor([[ 0.0904, -0.0452,  0.1355]])"},
    ),
    _step([4.0, 2.0, -1.0], "tensor(0.0916)", "tensor([ 0.0547, -0.0273,  0.0820])"),
    _step([3.9945, 2.0027, -1.0082], "tensor(0.0905)", "tensor([ 0.0563, -0.0281,  0.0844])"),
    _step([3.9889, 2.0055, -1.0166], "tensor(0.0894)", "tensor([ 0.0579, -0.0290,  0.0869])"),
)


class Task(NamedTuple):
    name: str
    program: str
    printed: str


_X = "x = tensor([3, 1, 4, 2, 6, 1, 4, 8])\ny = tensor([5, 2, 3, 12, 2, 4, 17, 9])\n"

TASKS = (
    # σ of 0.2, −0.1, 0.1, 0.8, −0.25, by Python's own exp
    Task(
        "1",
        "a = tensor([0.3, 1.2, -1.4, 0.2, -0.1, 0.1, 0.8, -0.25])\n(1 / (1 + exp(-a)))[-5:]",
        "tensor([0.5498, 0.4750, 0.5250, 0.6900, 0.4378])",
    ),
    Task(
        "1, sigmoid",
        "sigmoid(tensor([0.3, 1.2, -1.4, 0.2, -0.1, 0.1, 0.8, -0.25]))[-5:]",
        "tensor([0.5498, 0.4750, 0.5250, 0.6900, 0.4378])",
    ),
    Task("2 a", f"{_X}torch.sum(x * y)", "tensor(209)"),
    Task("2 b", f"{_X}torch.dot(x, y)", "tensor(209)"),
    Task("2 c", f"{_X}torch.matmul(x.T, y)", "tensor(209)"),
)

# Task 3: Σ x_i θ_i + θ_10 by hand is −0.693 − 1.65 = −2.343.
TASK_3 = (
    "x = tensor([1.2, 2.3, 3.4, -0.7, 4.2, 2.7, -0.5, 1.4, -3.3, 0.2])\n"
    "theta = tensor([1.7, 0.33, -2.12, -1.73, 2.9, -5.8, -0.9, 12.11, 3.43, -0.5, -1.65])\n"
    "1 / (1 + exp(-sum(x * theta[:-1]) - theta[-1]))"
)
