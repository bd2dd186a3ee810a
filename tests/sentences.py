"""Sentences that the code says to people, as templates that are read from its source.

A value in a template is ``VALUE``, a number ``NUMBER``. An expression is followed through local variables, constants,
choices and the functions of the project that return text, so that a sentence is found whole where it is said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "voiceclone_cli": ROOT / "src" / "voiceclone_cli",
    "voiceclone_worker": ROOT / "worker_env" / "voiceclone_worker",
}

VALUE, NUMBER = "\0", "\1"
_NUMERIC = re.compile(r"[\d,.]*[dfg%]$|,$")
_MOST = 512
"""Templates of one expression; more are a mistake of this module."""
_DEPTH = 8
"""Functions and variables that an expression is followed through."""

ATTRIBUTES = {"_work": ("decodes lines", "encodes references")}
"""What attributes hold that are words of sentences."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Said:
    """A sentence of the code, and where it is said."""

    template: str
    where: str


@dataclass
class Module:
    """A module of the project: its functions, constants and imports by name."""

    name: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    """Fields of its classes, in the order of their definition."""
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Module and name of what was imported; no name for a module."""

    def __post_init__(self) -> None:
        """Index the tree."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                self.functions.setdefault(node.name, node)
            elif isinstance(node, ast.ClassDef):
                rows = [row for row in node.body if isinstance(row, ast.AnnAssign)]
                self.fields[node.name] = [row.target.id for row in rows if isinstance(row.target, ast.Name)]
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = node.module, alias.name
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value


class Source:
    """The source of both packages."""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        for package, folder in PACKAGES.items():
            for path in sorted(folder.rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                name = ".".join([package, *parts]).removesuffix(".__init__")
                self.modules[name] = Module(name, ast.parse(path.read_text("utf-8")))

    def said(self, sinks: Mapping[str, Iterable[str]], modules: str) -> set[Said]:
        """Return what the calls of ``sinks`` (parameters by function or class) say in the modules of a pattern.

        A function that passes one of its own parameters to a sink is a sink too.
        """
        wanted = {name: set(parameters) for name, parameters in sinks.items()}
        chosen = [module for module in self.modules.values() if re.search(modules, module.name)]
        calls = [
            (module, function, call)
            for module in chosen
            for function, call in _nodes(module.tree)
            if isinstance(call, ast.Call)
        ]
        known = -1
        while known != (known := sum(map(len, wanted.values()))):
            for module, function, call in calls:
                for _, given in self._arguments(module, call, wanted.get(_name(call.func), set())):
                    if function and isinstance(given, ast.Name) and given.id in _parameter_names(function):
                        wanted.setdefault(function.name, set()).add(given.id)
        return {
            Said(template, f"{module.name}:{call.lineno} {_name(call.func)}({parameter})")
            for module, function, call in calls
            for parameter, given in self._arguments(module, call, wanted.get(_name(call.func), set()))
            for template in Reader(self, module, function).templates(given)
        }

    def listed(self, names: Iterable[str], modules: str) -> set[Said]:
        """Return what is put into lists of these names: when they are made, appended, extended or passed on."""
        found: set[Said] = set()
        for module in self.modules.values():
            if re.search(modules, module.name):
                for function, node in _nodes(module.tree):
                    for given in _put_in(node, set(names)):
                        for template in Reader(self, module, function).templates(given):
                            found.add(Said(template, f"{module.name}:{given.lineno}"))
        return found

    def returned(self, functions: str, modules: str) -> set[Said]:
        """Return what the functions whose names match a pattern return."""
        return {
            Said(template, f"{module.name}:{function.lineno} {function.name}")
            for module in self.modules.values()
            if re.search(modules, module.name)
            for function in module.functions.values()
            if re.search(functions, function.name)
            for node in _own(function)
            if isinstance(node, ast.Return) and node.value is not None
            for template in Reader(self, module, function).templates(node.value)
        }

    def _arguments(self, module: Module, call: ast.Call, wanted: set[str]) -> Iterator[tuple[str, ast.expr]]:
        """Yield the arguments of a call for the parameters that are wanted; a number is a position."""
        names = self._signature(module, _name(call.func))
        for position, argument in enumerate(call.args):
            parameter = names[position] if position < len(names) else ""
            if parameter in wanted or str(position) in wanted:
                yield parameter or str(position), argument
        for keyword in call.keywords:
            if keyword.arg in wanted:
                yield keyword.arg, keyword.value

    def _signature(self, module: Module, name: str) -> list[str]:
        home, local = self.resolve(module, name)
        if home is None:
            return []
        if local in home.functions:
            return _parameter_names(home.functions[local])
        return home.fields.get(local, [])

    def resolve(self, module: Module, name: str) -> tuple[Module | None, str]:
        """Return the module that defines a name of another, and its name there."""
        if name in module.functions or name in module.fields or name in module.constants:
            return module, name
        home, local = module.imports.get(name, ("", ""))
        if home in self.modules:
            return self.modules[home], local
        # Of a module that was imported: checks.memory_row.
        homes = [
            self.modules[f"{above}.{part}"]
            for above, part in module.imports.values()
            if f"{above}.{part}" in self.modules
        ]
        return next(((each, name) for each in homes if name in each.functions), (None, name))


Choices = frozenset[tuple[str, bool]]
"""Conditions of the source that a text was chosen by, and whether they hold."""
Texts = dict[str, set[Choices]]


class Reader:
    """Reads the texts of expressions in a function; ``given`` are the expressions of its parameters, if known."""

    def __init__(
        self,
        source: Source,
        module: Module,
        function: Function | None,
        given: Mapping[str, tuple[ast.expr, Reader]] | None = None,
        depth: int = 0,
    ) -> None:
        self._source = source
        self._module = module
        self._function = function
        self._given = given or {}
        self._depth = depth
        self._open: set[str] = set()

    def templates(self, node: ast.expr) -> set[str]:
        """Return the texts that an expression may give; VALUE for what cannot be told from the source."""
        return set(self.texts(node))

    def texts(self, node: ast.expr) -> Texts:
        """Return the texts that an expression may give, each with the choices that lead to it."""
        found = self._read(node)
        assert len(found) <= _MOST, (self._module.name, node.lineno, len(found))
        return found

    def _read(self, node: ast.expr) -> Texts:
        match node:
            case ast.Constant(value=str(text)):
                return _text(text)
            case ast.Constant(value=None):
                return {}
            case ast.JoinedStr(values=values):
                return self._joined(values)
            case ast.FormattedValue():
                return self._formatted(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen = _chosen(self.texts(body), self._condition(test), True)
                return _either(chosen, _chosen(self.texts(orelse), self._condition(test), False))
            case ast.BoolOp(values=values):
                return _either(*map(self.texts, values))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mult(), right=right):
                condition = self._condition(right)
                return _either(_chosen(_text(text), condition, True), _chosen(_text(""), condition, False))
            case ast.Subscript(value=ast.Dict(values=values)):
                return _either(*map(self.texts, values))
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(
                of := self._module.constants.get(name), ast.Dict
            ):
                return _either(*map(self._value_of_dict, of.values))
            case ast.Starred(value=value) | ast.ListComp(elt=value) | ast.GeneratorExp(elt=value):
                return self.texts(value)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return _either(*map(self.texts, elements))
            case ast.Name(id=name):
                return self._named(name)
            case ast.Call():
                return self._called(node)
            case ast.Attribute(attr=name) if name in ATTRIBUTES:
                return _either(*map(_text, ATTRIBUTES[name]))
        return _text(VALUE)

    def _value_of_dict(self, node: ast.expr) -> Texts:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"), args=[_, value]):
                return self.texts(value)
        return self.texts(node)

    def _joined(self, parts: Iterable[ast.expr]) -> Texts:
        found = _text("")
        for part in parts:
            found = _both(found, self.texts(part))
        return found

    def _formatted(self, node: ast.FormattedValue) -> Texts:
        if isinstance(node.format_spec, ast.JoinedStr):
            parts = node.format_spec.values
            spec = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
            if _NUMERIC.match(spec):
                return _text(NUMBER + "%" if spec.endswith("%") else NUMBER)
        if isinstance(node.value, ast.Call) and _name(node.value.func) == "len":
            return _text(NUMBER)
        return self.texts(node.value)

    def _condition(self, test: ast.expr) -> str:
        """Return the source of a condition, with what was given for parameters."""
        return re.sub(r"\b\w+\b", lambda word: self._source_of(word[0]), ast.unparse(test))

    def _source_of(self, name: str) -> str:
        given = self._given.get(name)
        return name if given is None else given[1]._condition(given[0])

    def _named(self, name: str) -> Texts:
        if self._depth > _DEPTH or name in self._open:
            return _text(VALUE)
        parameters = _parameter_names(self._function) if self._function else []
        values = list(_assigned(self._function, name)) if self._function else []
        own = _text(VALUE) if name in parameters else {}
        if name in self._given:
            given, caller = self._given[name]
            own = caller.texts(given)
        self._open.add(name)
        try:
            found = _either(own, *(self.texts(value) for value, added in values if not added))
            for value, added in values:
                if added and isinstance(value, ast.Tuple | ast.List | ast.ListComp):
                    found = _either(found, self.texts(value))
                elif added:
                    more = _both(found, self.texts(value))
                    found = more if added == _ALWAYS else _either(found, more)
            if found or values or name in parameters:
                return found
            home, local = self._source.resolve(self._module, name)
            if home is not None and local in home.constants:
                return Reader(self._source, home, None, None, self._depth + 1).texts(home.constants[local])
        finally:
            self._open.discard(name)
        return _text(VALUE)

    def _called(self, call: ast.Call) -> Texts:
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Constant(value="; "), attr="join"), args=[given]):
                return self.texts(given)  # sentences in a row are translated one by one
            case ast.Call(func=ast.Attribute(attr="join")):
                return _text(VALUE)
        home, local = self._source.resolve(self._module, _name(call.func))
        function = home.functions.get(local) if home is not None else None
        if home is None or function is None or self._depth > _DEPTH:
            return _text(VALUE)
        if function.returns is None or ast.unparse(function.returns) not in _TEXTS:
            return _text(VALUE)
        positional = dict(zip(_parameter_names(function), call.args, strict=False))
        named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        bound = {name: (value, self) for name, value in (positional | named).items()}
        reader = Reader(self._source, home, function, bound, self._depth + 1)
        found = [
            reader.texts(node.value)
            for node in _own(function)
            if isinstance(node, ast.Return | ast.Yield) and node.value is not None
        ]
        return _either(*found) or _text(VALUE)


def _text(text: str) -> Texts:
    return {text: {frozenset()}}


def _either(*found: Texts) -> Texts:
    merged: Texts = {}
    for texts in found:
        for text, choices in texts.items():
            merged.setdefault(text, set()).update(choices)
    return merged


def _both(first: Texts, second: Texts) -> Texts:
    """Join texts, but for those that opposite choices lead to."""
    merged: Texts = {}
    for (start, before), (end, after) in product(first.items(), second.items()):
        if fit := {one | two for one, two in product(before, after) if not _opposite(one, two)}:
            merged.setdefault(start + end, set()).update(fit)
    return merged


def _chosen(texts: Texts, condition: str, holds: bool) -> Texts:
    condition = condition.replace("!=", "==") if (is_negated := "!=" in condition) else condition
    choice: Choices = frozenset({(condition, holds is not is_negated)})
    return _both(texts, {"": {choice}})


def _opposite(one: Choices, two: Choices) -> bool:
    return any((condition, not holds) in two for condition, holds in one)


_TEXTS = ("str", "str | None", "list[str]", "Iterator[str]", "tuple[str, ...]", "Sequence[str]")


def _name(function: ast.expr) -> str:
    return ast.unparse(function).split(".")[-1]


def _parameter_names(function: Function) -> list[str]:
    rows = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [row.arg for row in rows if row.arg not in ("self", "cls")]


def _own(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions in it."""
    for node in ast.iter_child_nodes(function):
        yield from _below(node)


def _below(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, Function | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _below(child)


def _nodes(tree: ast.AST, function: Function | None = None) -> Iterator[tuple[Function | None, ast.AST]]:
    """Yield each node with the function that it is in."""
    for node in ast.iter_child_nodes(tree):
        yield function, node
        yield from _nodes(node, node if isinstance(node, Function) else function)


def _put_in(node: ast.AST, names: set[str]) -> Iterator[ast.expr]:
    """Yield what a node puts into a list of one of these names."""
    match node:
        case ast.Call(func=ast.Attribute(value=listed, attr="append" | "extend"), args=[given]):
            if _name(listed) in names:
                yield given
        case ast.keyword(arg=str(name), value=given) if name in names:
            yield given
        case ast.Assign(targets=[target], value=given) | ast.AugAssign(target=target, value=given):
            if _name(target) in names and not isinstance(given, ast.Name):
                yield given


_ALWAYS, _SOMETIMES = "always", "sometimes"


def _assigned(function: Function, name: str) -> Iterator[tuple[ast.expr, str]]:
    """Yield what a variable is set to, and whether that is added to what it was: "", _ALWAYS or _SOMETIMES."""
    blocks: list[list[ast.stmt]] = []
    """Those in which it is set."""
    for node in _own(function):
        if isinstance(node, ast.Assign):
            matched = [each for target in node.targets for each in _matched(target, node.value, name)]
            blocks += [block for block in _blocks(function) if matched and node in block]
            yield from matched
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _matched(node.target, node.value, name)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield node.value, _ALWAYS if any(node in block for block in blocks) else _SOMETIMES
        elif isinstance(node, ast.For | ast.NamedExpr | ast.withitem | ast.comprehension):
            target = node.optional_vars if isinstance(node, ast.withitem) else node.target
            if target is not None and name in _names_in(target):
                yield (node.value if isinstance(node, ast.NamedExpr) else _UNKNOWN), ""


def _blocks(function: Function) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of statements in a function."""
    for node in (function, *_own(function)):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _names_in(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


_UNKNOWN = ast.Constant(value=0)


def _matched(target: ast.expr, value: ast.expr, name: str) -> Iterator[tuple[ast.expr, str]]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value, ""
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, part in zip(target.elts, value.elts, strict=False):
            yield from _matched(each, part, name)
    elif isinstance(target, ast.Tuple) and name in _names_in(target):
        yield _UNKNOWN, ""
