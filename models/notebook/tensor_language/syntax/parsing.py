"""From the text of a program to its flat list of operations.

Statements: `name = expression`, `a[indices] = expression`, `a += expression`, an expression, `print(…)`. An
unknown operation is an error only when it runs.
"""

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from models.notebook.tensor_language.runtime.errors import LimitError, ProgramSyntaxError
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.syntax.grammar import parser
from models.notebook.tensor_language.syntax.lowering import Lowering
from models.notebook.tensor_language.syntax.names import RESERVED
from models.notebook.tensor_language.syntax.program import AssignPart, Print, Program, Reference, Store
from models.notebook.tensor_language.syntax.syntax_errors import syntax_error
from models.notebook.tensor_language.syntax.trees import check_name, place_of, token_of, tree_of


def parse(program: str, limits: Limits) -> Program:
    """Parse a program; raises `ProgramSyntaxError`, `UnknownNameError` or `LimitError`, with the position."""
    size = len(program.encode(errors="surrogatepass"))
    if size > limits.program_bytes:
        raise LimitError(f"the program has {size:,} bytes; {limits.program_bytes:,} are allowed", 1, 1)
    try:
        tree = parser(limits.nesting).parse(program)
    except UnexpectedInput as error:
        raise syntax_error(program, error) from None
    lowering = Lowering(limits)
    result, start = None, 0
    for statement in tree.children:
        start = len(lowering.steps)
        try:
            result = _statement(lowering, tree_of(statement))
        except RecursionError:  # deep within what is allowed, asked from deep within something else
            raise LimitError("the expression nests too deep", *place_of(statement)) from None
    prints = any(isinstance(step, Print) for step in lowering.steps[start:])
    return Program(tuple(lowering.steps), result, prints)


def _statement(lowering: Lowering, tree: Tree[Token]) -> Reference | None:
    """Append a statement's operations; return a reference to its value if it is an expression."""
    if len(tree.children) > 1 and tree.children[1] is not None:
        target, sign, expression = tree.children
        _assignment(lowering, tree_of(target), str(sign), tree_of(expression))
        return None
    expression = tree_of(tree.children[0])
    arguments = _print_arguments(expression)
    if arguments is None:
        return lowering.value(expression)
    references = tuple(lowering.value(argument) for argument in arguments)
    lowering.steps.append(Print(references, *place_of(tree)))
    return references[-1] if references else None


def _assignment(lowering: Lowering, target: Tree[Token], sign: str, expression: Tree[Token]) -> None:
    """Append `target = expression` or `target += expression`; the target is a name or an indexed name."""
    place = place_of(target)
    inner = tree_of(target.children[0])
    if len(target.children) != 1 or inner.data not in {"name", "postfix"}:
        raise ProgramSyntaxError("only a name or an indexed name can be assigned to", *place)
    if inner.data == "name":
        _store(lowering, token_of(inner.children[0]), sign, expression)
        return
    last = tree_of(inner.children[-1])
    if last.data != "subscript":
        raise ProgramSyntaxError("only a name or an indexed name can be assigned to", *place)
    if len(inner.children) > 2:  # noqa: PLR2004 - what is indexed, and its index
        base = lowering.value(Tree("postfix", inner.children[:-1], inner.meta))
    else:
        base = lowering.value(inner.children[0])
    value = lowering.value(expression)
    base, indices = lowering.subscript(base, last)
    if sign != "=":
        raise ProgramSyntaxError(f"{sign} takes a name; write a[…] = a[…] {sign[0]} …", *place)
    lowering.steps.append(AssignPart(base, indices, value, *place))


def _store(lowering: Lowering, name: Token, sign: str, expression: Tree[Token]) -> None:
    place = place_of(name)
    check_name(name)
    if name in RESERVED:
        raise ProgramSyntaxError(f"{name} is a prefix of names and cannot be assigned to", *place)
    if sign == "=":
        value = lowering.value(expression)
    else:
        previous = lowering.value(Tree("name", [name]))
        value = lowering.operator(sign[0], (previous, lowering.value(expression)), place)
    lowering.steps.append(Store(str(name), value, sign != "=", *place))


def _print_arguments(expression: Tree[Token]) -> list[Tree[Token]] | None:
    """Return the arguments of `print(…)`, or None of any other expression."""
    inner = tree_of(expression.children[0])
    if len(expression.children) != 1 or inner.data != "postfix" or len(inner.children) != 2:  # noqa: PLR2004
        return None
    function, call = tree_of(inner.children[0]), tree_of(inner.children[1])
    if function.data != "name" or function.children[0] != "print" or call.data != "call":
        return None
    arguments = call.children[0]
    values = [] if arguments is None else [tree_of(argument) for argument in tree_of(arguments).children]
    if any(value.data != "argument" for value in values):
        raise ProgramSyntaxError("print takes the values to print", *place_of(expression))
    return [tree_of(value.children[0]) for value in values]
