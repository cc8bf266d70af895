"""What is computed. Knows torch; knows nothing of HTTP, SQL or files.

responses.py          the problem's data: who answered what, as a sparse matrix, and the items' vectors
objective.py          the problem: loss and penalty, with the gradient by hand and by autograd
newton.py             a solver for small smooth problems
options.py            options that are refused with their range
trainer.py            what every trainer does, and what it reports
model.py              what a training leaves behind to score with, and what can be asked of it
gradient_descent.py   the class model: user embeddings by full-batch gradient descent
dot_product.py        what can be asked of the class model
mixed_effects/        the model to recommend with: named and learned dimensions, by variational Bayes
trainers.py           the trainers by name
scoring.py            logits, scores and the best items for an embedding
shortlist.py          few candidates for the best of millions of items, by a FAISS index of small codes
influence.py          which of a user's own answers moved a score most
holdout.py            which responses a training is to be judged on
tensor_language/      programs that read like the class notebook, run from a fixed table of operations
gradient.py           value, gradient and Hessian of a scalar program, checked by central differences
differences.py        central differences
networks.py           what the problems of small networks share
neuron.py             one sigmoid neuron, trained as the notebook does
mlp/                  fully connected networks, trained on points and targets
computation_graph.py  what backward visits, in its order
evaluation.py         how good scores are on responses that nothing was learned from
"""
