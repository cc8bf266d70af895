"""Fully connected networks, trained on points and their targets: task 6 of the class notebook, generalised.

    h ← activation(W h + b) a hidden layer,   output = W h + b,   loss = mean of (output − target)²

problem.py        what is trained on what, and what is refused
weight_names.py   single weights by the names of the task: w_12^(1)
targets.py        targets from an expression of the tensor language
network.py        layers as torch.nn.Linear draws them, and the forward pass
optimizers.py     steps against the gradient, by torch.optim
training.py       the training, and what comes out of it

Does not know layers of other kinds: no convolutions, no embeddings.
"""

from models.notebook.mlp.problem import MlpProblem, check
from models.notebook.mlp.training import Evaluation, LayerParameters, TrainedMlp, train_mlp

__all__ = ["Evaluation", "LayerParameters", "MlpProblem", "TrainedMlp", "check", "train_mlp"]
