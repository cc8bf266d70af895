"""The harnesses, one module each; `run(scale)` returns its figures."""
