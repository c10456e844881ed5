"""Mutation operators: which small, plausible mistakes can be made at a node of a syntax tree."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import CodePosition, CodeRange

COMPARISONS: Mapping[str, tuple[str, ...]] = {
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<"),
    ">=": (">", "<="),
    "==": ("!=",),
    "!=": ("==",),
    "is": ("is not",),
    "is not": ("is",),
    "in": ("not in",),
    "not in": ("in",),
}
ARITHMETIC: Mapping[str, tuple[str, ...]] = {
    "+": ("-",),
    "-": ("+",),
    "*": ("//", "+"),
    "/": ("*",),
    "//": ("*", "%"),
    "%": ("//", "*"),
    "**": ("*",),
    "<<": (">>",),
    ">>": ("<<",),
    "&": ("|",),
    "|": ("&",),
    "^": ("&",),
}
ASSIGNMENTS: Mapping[str, tuple[str, ...]] = {
    f"{operator}=": tuple(f"{other}=" for other in others)
    for operator, others in ARITHMETIC.items()
}
_NAME_PAIRS = """
    min max, any all, append appendleft, pop popleft, append extend, startswith endswith,
    lower upper, strip lstrip, lstrip rstrip, find rfind, index rindex, split rsplit,
    partition rpartition, keys values, items keys, add discard, floor ceil, union intersection,
    takewhile dropwhile, setdefault get, first last, token_next token_prev, left right,
    is_group is_whitespace, enumerate zip, list tuple, set list, combinations permutations,
    insert_before insert_after, filter filterfalse, sum len, le lt, ge gt, mul add, islice count,
    token_next_by token_next, start end, zip zip_longest, accumulate chain, repeat cycle
"""


def _pairs(text: str) -> dict[str, tuple[str, ...]]:
    partners: dict[str, tuple[str, ...]] = {}
    for pair in text.split(","):
        one, other = pair.split()
        partners[one] = (*partners.get(one, ()), other)
        partners[other] = (*partners.get(other, ()), one)
    return partners


NAMES: Mapping[str, tuple[str, ...]] = _pairs(_NAME_PAIRS)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a function could confuse."""

    local: Mapping[str, int]
    """Parameters and assigned variables to the line that first binds them."""
    attributes: Mapping[str, Sequence[str]]
    """Name of an object to the attributes used on it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A span of the source and the text that replaces it."""

    span: CodeRange
    replacement: str
    operator: str


class EditVisitor(cst.CSTVisitor):
    """Collects all edits inside one function; ``edits`` holds them in source order of visit."""

    def __init__(
        self, names: Names, positions: Mapping[cst.CSTNode, CodeRange], lines: Sequence[str]
    ) -> None:
        super().__init__()
        self.edits: list[Edit] = []
        self._names = names
        self._positions = positions
        self._lines = lines
        self._bound: set[cst.CSTNode] = set()

    def text(self, span: CodeRange) -> str:
        """Return the source text of a one-line span."""
        return self._lines[span.start.line - 1][span.start.column : span.end.column]

    def _replace(self, node: cst.CSTNode, replacements: Sequence[str], operator: str) -> None:
        span = self._positions[node]
        self.edits += [Edit(span, replacement, operator) for replacement in replacements]

    def _replace_token(
        self, node: cst.CSTNode, table: Mapping[str, tuple[str, ...]], operator: str
    ) -> None:
        self._replace(node, table.get(self.text(self._positions[node]), ()), operator)

    def _lead(self, node: cst.CSTNode) -> str:
        text = self.text(self._positions[node])
        end = next((i for i, sign in enumerate(text) if not (sign.isalnum() or sign == "_")), None)
        return text[:end] or text[:1]

    # Names of visitor methods are libcst's.
    def visit_Decorator(self, node: cst.Decorator) -> bool:  # noqa: N802, D102
        return False

    def visit_Annotation(self, node: cst.Annotation) -> bool:  # noqa: N802, D102
        return False

    def visit_ComparisonTarget(self, node: cst.ComparisonTarget) -> None:  # noqa: N802, D102
        self._replace_token(node.operator, COMPARISONS, "comparison")

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:  # noqa: N802, D102
        is_text = isinstance(node.left, (cst.SimpleString, cst.FormattedString))
        if not is_text:
            self._replace_token(node.operator, ARITHMETIC, "arithmetic")

    def visit_AugAssign(self, node: cst.AugAssign) -> None:  # noqa: N802, D102
        self._replace_token(node.operator, ASSIGNMENTS, "augmented")

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:  # noqa: N802, D102
        other = "or" if isinstance(node.operator, cst.And) else "and"
        self._replace(node.operator, (other,), "boolean")

    def visit_UnaryOperation(self, node: cst.UnaryOperation) -> None:  # noqa: N802, D102
        start = self._positions[node].start
        if isinstance(node.operator, cst.Not):
            operand = self._positions[node.expression].start
            lead = self._lead(node.expression)
            if operand.line == start.line:
                end = CodePosition(operand.line, operand.column + len(lead))
                self.edits.append(Edit(CodeRange(start, end), lead, "drop_not"))
        elif isinstance(node.operator, cst.Minus):
            end = CodePosition(start.line, start.column + 1)
            self.edits.append(Edit(CodeRange(start, end), "+", "sign"))

    def _negate(self, test: cst.BaseExpression) -> None:
        is_negated = isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not)
        if is_negated or isinstance(test, (cst.Comparison, cst.Integer)) or test.lpar:
            return
        start, lead = self._positions[test].start, self._lead(test)
        end = CodePosition(start.line, start.column + len(lead))
        self.edits.append(Edit(CodeRange(start, end), f"not {lead}", "add_not"))

    def visit_If(self, node: cst.If) -> None:  # noqa: N802, D102
        self._negate(node.test)

    def visit_While(self, node: cst.While) -> None:  # noqa: N802, D102
        self._negate(node.test)

    def visit_IfExp(self, node: cst.IfExp) -> None:  # noqa: N802, D102
        self._negate(node.test)

    def visit_CompIf(self, node: cst.CompIf) -> None:  # noqa: N802, D102
        self._negate(node.test)

    def visit_Integer(self, node: cst.Integer) -> None:  # noqa: N802, D102
        self._shift(node, "off_by_one")

    def _shift(self, node: cst.Integer, operator: str) -> None:
        if node.value.isdecimal():
            number = int(node.value)
            shifted = (number + 1, number - 1) if number else (1,)
            self._replace(node, tuple(map(str, shifted)), operator)

    def visit_Param(self, node: cst.Param) -> None:  # noqa: N802, D102
        self._bound.add(node.name)
        default = node.default
        if isinstance(default, cst.Integer):
            self._shift(default, "default")
        elif isinstance(default, cst.Name) and default.value in ("True", "False", "None"):
            other = {"True": "False", "False": "True", "None": "0"}[default.value]
            self._replace(default, (other,), "default")
            self._bound.add(default)

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802, D102
        if node in self._bound:
            return
        if node.value in ("True", "False"):
            self._replace(node, (str(node.value != "True"),), "constant")
        line = self._positions[node].start.line
        local = self._names.local
        if node.value in local:
            others = [name for name, bound in local.items() if bound < line and name != node.value]
            self._replace(node, _nearest(node.value, others), "wrong_name")

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:  # noqa: N802, D102
        self._bound.update(_plain_names(node.target))

    def visit_For(self, node: cst.For) -> None:  # noqa: N802, D102
        self._bound.update(_plain_names(node.target))

    def visit_CompFor(self, node: cst.CompFor) -> None:  # noqa: N802, D102
        self._bound.update(_plain_names(node.target))

    def visit_Arg(self, node: cst.Arg) -> None:  # noqa: N802, D102
        if node.keyword is not None:
            self._bound.add(node.keyword)

    def visit_Attribute(self, node: cst.Attribute) -> None:  # noqa: N802, D102
        self._bound.add(node.attr)
        self._replace(node.attr, NAMES.get(node.attr.value, ()), "call_name")
        if isinstance(node.value, cst.Name):
            others = self._names.attributes.get(node.value.value, ())
            others = [name for name in others if name != node.attr.value]
            self._replace(node.attr, _nearest(node.attr.value, others), "wrong_attribute")

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802, D102
        if isinstance(node.func, cst.Name):
            self._replace(node.func, NAMES.get(node.func.value, ()), "call_name")
        for one, other in zip(node.args, node.args[1:], strict=False):
            if not (one.keyword or other.keyword or one.star or other.star):
                self._swap(one.value, other.value)

    def _swap(self, one: cst.CSTNode, other: cst.CSTNode) -> None:
        first, second = self._positions[one], self._positions[other]
        if first.start.line == second.end.line:
            between = self.text(CodeRange(first.end, second.start))
            swapped = self.text(second) + between + self.text(first)
            span = CodeRange(first.start, second.end)
            self.edits.append(Edit(span, swapped, "swap_arguments"))

    def visit_Return(self, node: cst.Return) -> None:  # noqa: N802, D102
        if node.value is not None:
            self._replace(node.value, ("None",), "return_none")

    def visit_Slice(self, node: cst.Slice) -> None:  # noqa: N802, D102
        for bound in (node.lower, node.upper):
            if isinstance(bound, cst.Name):
                shifted = (f"{bound.value} + 1", f"{bound.value} - 1")
                self._replace(bound, shifted, "slice_bound")
        if node.step is None and (node.lower is None) != (node.upper is None):
            text = self.text(self._positions[node])
            moved = f"{text.strip(':')}:" if node.lower is None else f":{text.strip(':')}"
            self._replace(node, (moved,), "slice_bound")

    def visit_Break(self, node: cst.Break) -> None:  # noqa: N802, D102
        self._replace(node, ("continue",), "loop_control")

    def visit_Continue(self, node: cst.Continue) -> None:  # noqa: N802, D102
        self._replace(node, ("break",), "loop_control")


def _plain_names(target: cst.CSTNode) -> Iterator[cst.Name]:
    if isinstance(target, cst.Name):
        yield target
    elif isinstance(target, (cst.Tuple, cst.List)):
        for element in target.elements:
            yield from _plain_names(element.value)


def _nearest(name: str, others: Sequence[str], count: int = 2) -> Sequence[str]:
    ranked = sorted(
        others, key=lambda other: (-difflib.SequenceMatcher(None, name, other).ratio(), other)
    )
    return ranked[:count]
