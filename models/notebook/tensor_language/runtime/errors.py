"""The errors of a program, always with the position in the program.

LanguageError
├── ProgramSyntaxError   the text is not a program
├── UnknownNameError     a name, function or method that does not exist
├── OperationError       values that do not fit: types, shapes, what torch refuses
└── LimitError           larger, deeper or longer than is allowed
"""

from typing import Self


class LanguageError(Exception):
    """A program that cannot be run; line and column count from 1, and are None before they are known."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    def at(self, line: int, column: int) -> Self:
        """Return the same error with its position, if it has none yet."""
        if self.line is not None:
            return self
        return type(self)(self.message, line, column)

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        return f"line {self.line}, column {self.column}: {self.message}"


class ProgramSyntaxError(LanguageError):
    """The text is not a program of the language."""


class UnknownNameError(LanguageError):
    """A variable, function or method that is not there."""


class OperationError(LanguageError):
    """Values whose types or shapes an operation does not take."""


class LimitError(LanguageError):
    """More than the limits allow; the message says what is allowed."""
