"""From the tree of an expression to a flat list of operations."""

from collections.abc import Callable, Sequence
from typing import Literal

from lark import Token, Tree

from models.notebook.tensor_language.runtime.errors import LimitError, ProgramSyntaxError, UnknownNameError
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.plain_numbers import check_integer
from models.notebook.tensor_language.syntax.names import PREFIXES, RESERVED
from models.notebook.tensor_language.syntax.program import (
    Collect,
    Constant,
    Dots,
    Index,
    Loop,
    Operation,
    Reference,
    Register,
    Span,
    Step,
    Style,
    Subscript,
    Variable,
)
from models.notebook.tensor_language.syntax.trees import Node, check_name, place_of, token_of, tree_of

_DIGITS = 19  # of the largest integer of 64 bits
_NOTHING = Constant(None)


class Lowering:
    """Appends operations to ``steps`` while it reads trees."""

    def __init__(self, limits: Limits) -> None:
        self.steps: list[Step] = []
        self._limits = limits
        self._registers = 0
        self._depth = 0
        self._scopes: list[tuple[str, Register]] = []
        self._atoms: dict[str, Callable[[Tree[Token]], Reference]] = {
            "expression": self._chain,
            "bracketed": lambda tree: self.value(tree.children[0]),
            "sum": self._chain,
            "product": self._chain,
            "power": self._chain,
            "signed": self._signed,
            "postfix": self._postfix,
            "name": lambda tree: self._name(token_of(tree.children[0])),
            "integer": _integer,
            "float": lambda tree: Constant(float(token_of(tree.children[0]))),
            "true": lambda _: Constant(value=True),
            "false": lambda _: Constant(value=False),
            "none": lambda _: _NOTHING,
            "list": self._collect,
            "tuple": self._collect,
            "comprehension": self._comprehension,
        }

    def value(self, node: Node) -> Reference:
        """Append the operations of an expression, and return a reference to its value."""
        tree = tree_of(node)
        self._depth += 1
        # A level of brackets passes here at most six times, and `a ** b ** c` once a power.
        if self._depth > 6 * self._limits.nesting:
            where = place_of(tree)
            raise LimitError(f"expressions nest deeper than the {self._limits.nesting} allowed", *where)
        reference = self._atoms[tree.data](tree)
        self._depth -= 1
        return reference

    def subscript(self, base: Reference, tree: Tree[Token]) -> tuple[Reference, tuple[Index, ...]]:
        """Append the operations of the indices in `[…]`; return the base and its indices."""
        return base, tuple(self._index(tree_of(index)) for index in tree.children)

    def operator(self, symbol: str, arguments: tuple[Reference, ...], place: tuple[int, int]) -> Register:
        """Append an operator."""
        target = self.register()
        self.steps.append(Operation(symbol, "operator", "plain", arguments, (), target.number, *place))
        return target

    def register(self) -> Register:
        """Return a register that nothing else uses."""
        self._registers += 1
        return Register(self._registers - 1)

    def _chain(self, tree: Tree[Token]) -> Reference:
        """Append `a + b - c`, from left to right; `a ** b` has the same form."""
        result = self.value(tree.children[0])
        for symbol, operand in zip(tree.children[1::2], tree.children[2::2], strict=True):
            result = self.operator(str(symbol), (result, self.value(operand)), place_of(symbol))
        return result

    def _signed(self, tree: Tree[Token]) -> Reference:
        *signs, operand = tree.children
        value = self.value(operand)
        if isinstance(value, Constant) and isinstance(value.value, int | float) and len(signs) == 1:
            return Constant(-value.value if signs[0] == "-" else +value.value)
        for sign in reversed(signs):
            value = self.operator(f"unary {sign}", (value,), place_of(sign))
        return value

    def _name(self, name: Token) -> Reference:
        check_name(name)
        for variable, register in reversed(self._scopes):
            if variable == name:
                return register
        return Variable(str(name), None, *place_of(name))

    def _collect(self, tree: Tree[Token]) -> Reference:
        items = tuple(self.value(item) for item in tree.children if item is not None)
        target = self.register()
        kind: Literal["list", "tuple"] = "list" if tree.data == "list" else "tuple"
        self.steps.append(Collect(kind, items, target.number, *place_of(tree)))
        return target

    def _comprehension(self, tree: Tree[Token]) -> Reference:
        element, name, iterable = tree.children
        variable_name = token_of(name)
        check_name(variable_name)
        source = self.value(iterable)
        variable, target = self.register(), self.register()
        begin = len(self.steps)
        self._scopes.append((str(variable_name), variable))
        item = self.value(element)
        self._scopes.pop()
        body = len(self.steps) - begin
        loop = Loop(source, variable.number, body, item, target.number, *place_of(tree))
        self.steps.insert(begin, loop)
        return target

    def _postfix(self, tree: Tree[Token]) -> Reference:
        """Append `atom.method(…)[index].attribute`; a prefix such as `torch.` is part of the name."""
        trailers = [tree_of(trailer) for trailer in tree.children[1:]]
        first = tree_of(tree.children[0])
        if first.data != "name":
            return self._trailers(self.value(first), trailers)
        name = token_of(first.children[0])
        if name not in RESERVED:
            if trailers[0].data == "call":
                return self._trailers(self._call(name, "plain", trailers[0]), trailers[1:])
            return self._trailers(self.value(first), trailers)
        prefix = str(name)
        while (
            len(trailers) > 1 and trailers[0].data == "attribute" and _dotted(prefix, trailers[0]) in PREFIXES
        ):
            prefix = _dotted(prefix, trailers.pop(0))
        if trailers[0].data != "attribute":
            raise ProgramSyntaxError(f"{prefix} is a prefix of names, as in {prefix}.sum(a)", *place_of(name))
        style, name = PREFIXES[prefix], token_of(trailers[0].children[0])
        check_name(name)
        if len(trailers) > 1 and trailers[1].data == "call":
            return self._trailers(self._call(name, style, trailers[1]), trailers[2:])
        return self._trailers(Variable(str(name), style, *place_of(name)), trailers[1:])

    def _trailers(self, base: Reference, trailers: Sequence[Tree[Token]]) -> Reference:
        pending = list(reversed(trailers))
        while pending:
            trailer = pending.pop()
            target = self.register()
            if trailer.data == "subscript":
                step: Step = Subscript(*self.subscript(base, trailer), target.number, *place_of(trailer))
            elif trailer.data == "call":
                raise UnknownNameError("only a function or a method can be called", *place_of(trailer))
            else:
                name = token_of(trailer.children[0])
                check_name(name)
                if pending and pending[-1].data == "call":
                    positional, keywords = self._arguments(pending.pop())
                    arguments = (base, *positional)
                    step = Operation(
                        str(name), "method", "torch", arguments, keywords, target.number, *place_of(name)
                    )
                else:
                    step = Operation(
                        str(name), "attribute", "torch", (base,), (), target.number, *place_of(name)
                    )
            self.steps.append(step)
            base = target
        return base

    def _call(self, name: Token, style: Style, tree: Tree[Token]) -> Reference:
        check_name(name)
        positional, keywords = self._arguments(tree)
        target = self.register()
        self.steps.append(
            Operation(str(name), "function", style, positional, keywords, target.number, *place_of(name))
        )
        return target

    def _arguments(
        self, call: Tree[Token]
    ) -> tuple[tuple[Reference, ...], tuple[tuple[str, Reference], ...]]:
        positional: list[Reference] = []
        keywords: dict[str, Reference] = {}
        for argument in tree_of(call.children[0]).children if call.children[0] is not None else ():
            tree = tree_of(argument)
            if tree.data == "keyword":
                name = token_of(tree.children[0])
                if name in keywords:
                    raise ProgramSyntaxError(f"{name} is given twice", *place_of(name))
                keywords[str(name)] = self.value(tree.children[2])
            elif keywords:
                raise ProgramSyntaxError(
                    "an argument without a name stands after named ones", *place_of(tree)
                )
            else:
                positional.append(self.value(tree if tree.data == "comprehension" else tree.children[0]))
        return tuple(positional), tuple(keywords.items())

    def _index(self, tree: Tree[Token]) -> Index:
        if tree.data == "ellipsis":
            return Dots()
        if tree.data == "slice":
            start, stop, step = (_NOTHING if part is None else self.value(part) for part in tree.children)
            return Span(start, stop, step)
        return self.value(tree.children[0])


def _integer(tree: Tree[Token]) -> Constant:
    token = token_of(tree.children[0])
    try:
        # Python's int() has a bound of its own on digits, and refuses with another error.
        return Constant(check_integer(int(token) if len(token) <= _DIGITS else 1 << 64))
    except LimitError as error:
        raise error.at(*place_of(token)) from None


def _dotted(prefix: str, attribute: Tree[Token]) -> str:
    return f"{prefix}.{attribute.children[0]}"
