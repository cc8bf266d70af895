"""The class model: z = e_u · x_m, every user's embedding by full-batch gradient descent.

Does not know item biases, learned dimensions or uncertainty.

gradient_descent.py   the trainer
dense_descent.py      the same descent on a small table, in NumPy
objective.py          loss and penalty, with gradients by hand and by autograd
newton.py             damped Newton, to fold in one user
dot_product.py        the trained model
"""
