"""Mutations of statements and calls: what was forgotten, put in the wrong place or caught wrongly.

They go beyond ``operators``, whose edits are single words and signs: a statement or a branch that
is missing, an exception of another class, a value that goes to another variable.
"""

import difflib
from collections.abc import Mapping, Sequence

import libcst as cst
from libcst.metadata import CodePosition, CodeRange

from pivot_envs.coding.tasks.operators import Edit, Names

EXCEPTIONS: Mapping[str, tuple[str, ...]] = {
    "ValueError": ("TypeError", "KeyError"),
    "TypeError": ("ValueError", "AttributeError"),
    "KeyError": ("IndexError", "AttributeError"),
    "IndexError": ("KeyError", "StopIteration"),
    "AttributeError": ("KeyError", "TypeError"),
    "StopIteration": ("IndexError",),
    "NotImplementedError": ("TypeError",),
    "RuntimeError": ("ValueError",),
    "OverflowError": ("ValueError",),
    "ZeroDivisionError": ("ValueError",),
    "LookupError": ("ValueError",),
    "OSError": ("ValueError",),
}
DROPPABLE_CALLS = frozenset("list tuple set sorted reversed abs iter str int".split())  # noqa: SIM905
DROPPABLE_METHODS = frozenset(
    "strip lstrip rstrip lower upper copy casefold title items values splitlines group".split()  # noqa: SIM905
)


class StatementVisitor(cst.CSTVisitor):
    """Collects the edits of statements and calls inside one function."""

    def __init__(
        self, names: Names, positions: Mapping[cst.CSTNode, CodeRange], lines: Sequence[str]
    ) -> None:
        super().__init__()
        self.edits: list[Edit] = []
        self._names = names
        self._positions = positions
        self._lines = lines

    # Names of visitor methods are libcst's.
    def visit_Decorator(self, node: cst.Decorator) -> bool:  # noqa: N802, D102
        return False

    def visit_Annotation(self, node: cst.Annotation) -> bool:  # noqa: N802, D102
        return False

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:  # noqa: N802, D102
        for statement in node.body:
            if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
                self._drop_statement(statement, is_alone=len(node.body) == 1)
            elif isinstance(statement, cst.If):
                self._drop_branches(statement, is_alone=len(node.body) == 1)

    def _drop_statement(self, line: cst.SimpleStatementLine, *, is_alone: bool) -> None:
        match line.body[0]:
            case cst.AugAssign() | cst.Expr(value=cst.Call()):
                self._drop_lines(line, "missing_statement", is_alone=is_alone)
            case cst.Assign(targets=[cst.AssignTarget(target=target)]):
                # Without its first value a name would only be unknown.
                if not (isinstance(target, cst.Name) and self._binds_first(target)):
                    self._drop_lines(line, "missing_statement", is_alone=is_alone)
            case cst.Return(value=cst.BaseExpression() as value) as statement:
                start, end = self._positions[statement].start, self._positions[value].start
                if start.line == end.line:
                    self._edit(CodeRange(start, end), "", "missing_return")

    def _binds_first(self, name: cst.Name) -> bool:
        return self._names.local.get(name.value) == self._positions[name].start.line

    def _drop_branches(self, node: cst.If, *, is_alone: bool) -> None:
        last = node.body.body[-1] if node.body.body else None
        is_guard = isinstance(last, cst.SimpleStatementLine) and isinstance(
            last.body[-1], (cst.Return, cst.Raise, cst.Continue, cst.Break)
        )
        match node.orelse:
            case None if is_guard:
                self._drop_lines(node, "missing_branch", is_alone=is_alone)
            case cst.Else() | cst.If(orelse=None):
                self._drop_lines(node.orelse, "missing_branch", is_alone=False)

    def _drop_lines(self, node: cst.CSTNode, operator: str, *, is_alone: bool) -> None:
        """Leave out the whole lines of a statement; the only one of a block becomes ``pass``."""
        span = self._positions[node]
        last = span.end.line - 1 if span.end.column == 0 else span.end.line
        while last > span.start.line and not self._lines[last - 1].strip():
            last -= 1
        if is_alone:
            end = CodePosition(last, len(self._lines[last - 1].rstrip("\r")))
            self._edit(CodeRange(span.start, end), "pass", operator)
        elif last < len(self._lines):
            start = CodePosition(span.start.line, 0)
            self._edit(CodeRange(start, CodePosition(last + 1, 0)), "", operator)

    def visit_Raise(self, node: cst.Raise) -> None:  # noqa: N802, D102
        raised = node.exc.func if isinstance(node.exc, cst.Call) else node.exc
        self._other_exception(raised)

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:  # noqa: N802, D102
        if isinstance(node.type, cst.Tuple):
            for element in node.type.elements:
                self._other_exception(element.value)
        else:
            self._other_exception(node.type)

    def _other_exception(self, node: cst.CSTNode | None) -> None:
        if isinstance(node, cst.Name):
            for other in EXCEPTIONS.get(node.value, ()):
                self._replace(node, other, "wrong_exception")

    def visit_Await(self, node: cst.Await) -> None:  # noqa: N802, D102
        self._keep(node, node.expression, "lost_await")

    def visit_Yield(self, node: cst.Yield) -> None:  # noqa: N802, D102
        if isinstance(node.value, cst.From):
            span = self._positions[node.value]
            item = self._positions[node.value.item]
            self._edit(CodeRange(span.start, item.start), "", "lost_yield_from")
        elif node.value is not None:
            self._keep(node, node.value, "lost_yield")

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:  # noqa: N802, D102
        self._keep(node, node.left, "missing_condition")
        self._keep(node, node.right, "missing_condition")

    def visit_IfExp(self, node: cst.IfExp) -> None:  # noqa: N802, D102
        self._swap(node.body, node.orelse, "swap_branches")

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:  # noqa: N802, D102
        is_ordered = isinstance(node.operator, (cst.Subtract, cst.Divide, cst.FloorDivide))
        if is_ordered and not (node.left.lpar or node.right.lpar):
            self._swap(node.left, node.right, "swap_operands")

    def visit_AugAssign(self, node: cst.AugAssign) -> None:  # noqa: N802, D102
        self._replace(node.operator, "=", "lost_accumulation")

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:  # noqa: N802, D102
        self._shadow(node.target)

    def visit_For(self, node: cst.For) -> None:  # noqa: N802, D102
        self._shadow(node.target)

    def _shadow(self, target: cst.CSTNode) -> None:
        """Let a value overwrite another variable that is known by then."""
        if isinstance(target, cst.Name):
            line = self._positions[target].start.line
            known = [name for name, first in self._names.local.items() if first < line]
            others = difflib.get_close_matches(
                target.value, [name for name in known if name != target.value], n=1, cutoff=0.0
            )
            for other in others:
                self._replace(target, other, "shadowed_variable")

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802, D102
        match node:
            case cst.Call(func=cst.Name(value=name), args=[cst.Arg(keyword=None, star="") as arg]):
                if name in DROPPABLE_CALLS:
                    self._keep(node, arg.value, "missing_call")
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=name), value=value)):
                if name in DROPPABLE_METHODS:
                    self._keep(node, value, "missing_call")
        args = node.args
        if len(args) > 1 and args[-1].comma == cst.MaybeSentinel.DEFAULT:
            span = CodeRange(self._positions[args[-2]].end, self._positions[args[-1]].end)
            self._edit(span, "", "missing_argument")

    def visit_Index(self, node: cst.Index) -> None:  # noqa: N802, D102
        if isinstance(node.value, cst.Name) and node.value.value in self._names.local:
            self._replace(node.value, f"{node.value.value} - 1", "wrong_index")

    def visit_Tuple(self, node: cst.Tuple) -> None:  # noqa: N802
        """Forget one of the alternatives of a test such as ``x in (a, b, c)``."""
        # One of two would leave no tuple.
        if len(node.elements) > 2 and node.lpar:
            before, last = (self._positions[each.value] for each in node.elements[-2:])
            self._edit(CodeRange(before.end, last.end), "", "missing_alternative")

    def _keep(self, node: cst.CSTNode, part: cst.CSTNode, operator: str) -> None:
        """Replace a node by one of its parts."""
        text = self._text(self._positions[part])
        if text is not None:
            self._replace(node, text, operator)

    def _swap(self, one: cst.CSTNode, other: cst.CSTNode, operator: str) -> None:
        first, second = self._positions[one], self._positions[other]
        between = self._text(CodeRange(first.end, second.start))
        texts = self._text(first), self._text(second)
        if between is not None and texts[0] is not None and texts[1] is not None:
            span = CodeRange(first.start, second.end)
            self._edit(span, texts[1] + between + texts[0], operator)

    def _replace(self, node: cst.CSTNode, text: str, operator: str) -> None:
        self._edit(self._positions[node], text, operator)

    def _edit(self, span: CodeRange, text: str, operator: str) -> None:
        self.edits.append(Edit(span, text, operator))

    def _text(self, span: CodeRange) -> str | None:
        """Return the source text of a span, None if it reaches over several lines."""
        if span.start.line != span.end.line:
            return None
        return self._lines[span.start.line - 1][span.start.column : span.end.column]
