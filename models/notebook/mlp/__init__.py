"""Fully connected networks, trained on points and their targets: task 6 of the class notebook, generalised.

    h ← activation(W h + b) a hidden layer,   output = W h + b,   loss = mean of (output − target)²

Does not know layers of other kinds: no convolutions, no embeddings.

problem.py        layers, points, targets and choices, and their checks
weight_names.py   single weights by the names of the task: w_12^(1)
targets.py        targets from an expression of the tensor language
network.py        layers as torch.nn.Linear draws them, and the forward pass
optimizers.py     steps of SGD, Nesterov's momentum and Adam
training.py       the training and its result
"""
