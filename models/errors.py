"""Errors that both halves of `models` raise."""


class DivergedError(ArithmeticError):
    """The training left the finite numbers; the message names the step and what to change."""
