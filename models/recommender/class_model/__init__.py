"""The class model: user embeddings by full-batch gradient descent."""
