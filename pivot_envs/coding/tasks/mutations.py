"""Functions of a source file and the mutations that can be made in them."""

import ast
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from pivot_envs.coding.gold import Mutation
from pivot_envs.coding.tasks.operators import Edit, EditVisitor, Names
from pivot_envs.coding.tasks.statements import StatementVisitor
from pivot_envs.errors import SourceError

_MAX_SPAN = 40
"""Longest span in characters: a mutation is a slip, not a deleted expression."""
_MAX_LINES_SPAN = 240
"""Longest span over several lines: a statement or a branch, not half a function."""


@dataclass(frozen=True, slots=True)
class SourceFunction:
    """An outermost function or method; nested functions are part of it."""

    path: str
    """File, relative to the workspace."""
    name: str
    """``Class.method`` or ``function``."""
    first_line: int
    """1-based, of the first decorator or of ``def``."""
    last_line: int
    body_lines: int
    """Lines from the first statement after the docstring to the end."""
    mutations: tuple[Mutation, ...]


def find_functions(
    path: str, text: str, *, max_lines: int = 20, statements: bool = False
) -> tuple[SourceFunction, ...]:
    """List the functions of a file and their mutations, in source order.

    A mutation never touches a docstring, always leaves valid syntax, and always changes the
    syntax tree. Those of ``operators`` replace a span on one line; those of ``statements`` can
    leave out whole lines.

    Args:
        path: The file, relative to the workspace.
        text: The file's text.
        max_lines: Longest body, without its docstring, that is considered.
        statements: Whether to add the mutations of ``statements``.

    Raises:
        SourceError: The text is no valid Python.
    """
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise SourceError(f"{path} cannot be parsed as Python: {error.message}") from error
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    lines = text.split("\n")
    functions = []
    for node, scope, name in _definitions(wrapper.module, wrapper.module, ""):
        extent = _extent(node, positions)
        if extent is None or extent[1] - extent[2] + 1 > max_lines:
            continue
        first, last, body = extent
        names = _names(node, scope, positions)
        narrow = EditVisitor(names, positions, lines)
        wide = StatementVisitor(names, positions, lines)
        node.visit(narrow)
        if statements:
            node.visit(wide)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mutations = _mutations(path, [*narrow.edits, *wide.edits], lines, (first, last))
        functions.append(SourceFunction(path, name, first, last, last - body + 1, mutations))
    return tuple(functions)


def _definitions(
    node: cst.CSTNode, scope: cst.CSTNode, prefix: str
) -> Iterator[tuple[cst.FunctionDef, cst.CSTNode, str]]:
    for child in node.children:
        if isinstance(child, cst.FunctionDef):
            yield child, scope if prefix else child, prefix + child.name.value
        elif isinstance(child, cst.ClassDef):
            yield from _definitions(child, child, f"{prefix}{child.name.value}.")
        elif isinstance(child, (cst.BaseCompoundStatement, cst.BaseSuite, cst.Else)):
            yield from _definitions(child, scope, prefix)


def _extent(
    node: cst.FunctionDef, positions: Mapping[cst.CSTNode, CodeRange]
) -> tuple[int, int, int] | None:
    """Return first line, last line and first body line, or None if there is only a docstring."""
    body = list(node.body.body)
    if node.get_docstring(clean=False) is not None:
        body = body[1:]
    if not body or not isinstance(node.body, cst.IndentedBlock):
        return None
    first: cst.CSTNode = node.decorators[0] if node.decorators else node
    end = positions[node].end
    last_line = end.line - 1 if end.column == 0 else end.line
    return positions[first].start.line, last_line, positions[body[0]].start.line


class _NameVisitor(cst.CSTVisitor):
    def __init__(self, positions: Mapping[cst.CSTNode, CodeRange]) -> None:
        super().__init__()
        self.local: dict[str, int] = {}
        self.attributes: dict[str, list[str]] = {}
        self._positions = positions

    def _bind(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.Name) and node.value not in ("self", "cls"):
            self.local.setdefault(node.value, self._positions[node].start.line)
        elif isinstance(node, (cst.Tuple, cst.List)):
            for element in node.elements:
                self._bind(element.value)

    def visit_Param(self, node: cst.Param) -> None:  # noqa: N802
        self._bind(node.name)

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:  # noqa: N802
        self._bind(node.target)

    def visit_For(self, node: cst.For) -> None:  # noqa: N802
        self._bind(node.target)

    def visit_Attribute(self, node: cst.Attribute) -> None:  # noqa: N802
        if isinstance(node.value, cst.Name):
            known = self.attributes.setdefault(node.value.value, [])
            if node.attr.value not in known:
                known.append(node.attr.value)


def _names(
    node: cst.FunctionDef, scope: cst.CSTNode, positions: Mapping[cst.CSTNode, CodeRange]
) -> Names:
    inner, outer = _NameVisitor(positions), _NameVisitor(positions)
    node.visit(inner)
    scope.visit(outer)
    of_self = {"self": outer.attributes["self"]} if "self" in outer.attributes else {}
    return Names(inner.local, inner.attributes | of_self)


def _mutations(
    path: str, edits: Sequence[Edit], lines: Sequence[str], extent: tuple[int, int]
) -> tuple[Mutation, ...]:
    first, last = extent
    original_tree = _tree(lines[first - 1 : last])
    mutations: dict[tuple[int, int, str, str], Mutation] = {}
    for edit in edits:
        start, end = edit.span.start, edit.span.end
        original = _span(lines, edit)
        key = (start.line, start.column, original, edit.replacement)
        is_same = key in mutations or original == edit.replacement
        if is_same or _is_long(original, edit) or "\r" in original:
            continue
        rest = lines[end.line - 1] if end.line <= len(lines) else ""
        mutated = lines[start.line - 1][: start.column] + edit.replacement + rest[end.column :]
        body = [*lines[first - 1 : start.line - 1], mutated, *lines[end.line : max(last, end.line)]]
        if _tree(body) not in (None, original_tree):
            mutations[key] = Mutation(
                path, start.line, original, edit.replacement, start.column, edit.operator
            )
    return tuple(sorted(mutations.values(), key=lambda each: (each.line, each.column)))


def _span(lines: Sequence[str], edit: Edit) -> str:
    start, end = edit.span.start, edit.span.end
    if start.line == end.line:
        return lines[start.line - 1][start.column : end.column]
    between = lines[start.line : end.line - 1]
    last = lines[end.line - 1][: end.column]
    return "\n".join([lines[start.line - 1][start.column :], *between, last])


def _is_long(original: str, edit: Edit) -> bool:
    """Tell whether an edit is more than a slip; one that leaves out lines may be longer."""
    limit = _MAX_LINES_SPAN if "\n" in original else _MAX_SPAN
    return max(len(original), len(edit.replacement)) > limit


def _tree(lines: Sequence[str]) -> str | None:
    source = textwrap.dedent("\n".join(lines))
    try:
        # Only compiling finds a stray break or a clash of parameters; the tree alone does not.
        compile(source, "<mutation>", "exec", dont_inherit=True)
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError):
        return None
