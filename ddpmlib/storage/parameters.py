"""Parameters of notebooks, runs and commands: found, and checked by name and type before anything
runs."""

import argparse
import ast
import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

# Former name -> present name, of parameters of notebooks, arguments and files made earlier.
OLD_NAMES = {
    "guidance": "guidance_scale",
    "steps": "num_steps",
    "table": "metadata",
    "target": "prediction_type",
}
MAX_SEED = 2**32 - 1  # torch on a processor ignores what is above 32 bits
# What may be a number and is a text all the same, as speaker 84: papermill's `-p` gives an int.
WORDS = ("condition", "text", "word")
MARK = "# Parameters"  # first words of a notebook's parameters cell, and of papermill's
# type -> what an instance of it may be, and what it is called
_TYPES = {
    bool: (bool, "True or False"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    float | None: (int | float | None, "a number or None"),
    str: (str, "a text"),
    list: (list, "a list [...]"),
    tuple[int, int]: (tuple, "two whole numbers [height, width]"),
}


def notebook_parameters(scope: dict) -> dict:
    """Names and values set by the parameters cell, and by the cell that papermill adds to it.

    `scope` is `globals()` of the notebook; `In` in it are the cells that IPython has run so far.
    A number among WORDS becomes a text, in the scope too. Raises ValueError where none of them
    begins like a parameters cell.
    """
    names = []
    for source in reversed(scope["In"]):
        if not source.startswith(MARK):
            continue
        nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)]
        names += [node.id for node in nodes if isinstance(node.ctx, ast.Store)]
        if source.splitlines()[0].strip() != MARK:  # papermill's line has nothing behind it
            numbers = [n for n in names if n in WORDS and type(scope[n]) in (int, float)]
            scope |= {name: str(scope[name]) for name in numbers}
            return {name: scope[name] for name in names}
    raise ValueError(f"no parameters found: their cell must begin with '{MARK}, '")


def check_parameters(scope: dict, **types) -> dict:
    """Names and values of a notebook's parameters, each known and of the type named here.

    A value given by a former name is put under the present one into the scope. Raises TypeError
    naming the parameter, its value, and what is needed.
    """
    values = rename(notebook_parameters(scope))
    for name, value in values.items():
        if name not in types:
            raise TypeError(f"unknown parameter {name!r}; known: {', '.join(sorted(types))}")
        check_type(name, value, types[name])
    scope |= values
    return values


def rename(values: dict) -> dict:
    """Values by their present names; for each of OLD_NAMES that was used, a line is printed."""
    given = [old for old in OLD_NAMES if old in values]
    for old in given:
        print(f"{old!r} is now called {OLD_NAMES[old]!r}: it works, but please use the new name")
    present = {name: value for name, value in values.items() if name not in given}
    return present | {OLD_NAMES[old]: values[old] for old in given}


def accepting_old_names(function: Callable) -> Callable:
    """Decorator of a function whose keyword arguments may still be given by their OLD_NAMES."""

    @functools.wraps(function)
    def accept(*args, **options):
        return function(*args, **rename(options))

    return accept


def check_type(name: str, value, wanted) -> None:
    """Raise TypeError unless a value is of the type wanted, naming both.

    A whole number may stand for a float; nothing else is converted.
    """
    accepted, words = _TYPES[wanted]
    good = isinstance(value, accepted) and (wanted is bool or not isinstance(value, bool))
    if wanted == tuple[int, int]:
        good = good and len(value) == 2 and all(type(side) is int for side in value)
    if not good:
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); it must be {words}")


def check_seed(seed: int, name: str = "seed") -> None:
    """Raise ValueError for one that would wrap: two of them would draw the same numbers."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"{name} is {seed}; needed: 0 to {MAX_SEED}")


def add_fields(
    parser: argparse.ArgumentParser,
    kind: type,
    leave_out: tuple[str, ...] = (),
    shown: Mapping = MappingProxyType({}),
) -> None:
    """An option for each field of a dataclass, with its default.

    `shown` are defaults for the help, of fields for which another one counts than their own.
    """
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        default = shown.get(field.name, field.default)
        options = {"default": field.default, "help": f"default: {default}"}
        if field.type is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif field.type == tuple[int, int]:
            options |= {"type": int, "nargs": 2}
        elif field.type == tuple[float, float] | None:
            options |= {"type": float, "nargs": 2}
        else:  # such as float, or float | None
            options["type"] = next(iter(getattr(field.type, "__args__", [field.type])))
        parser.add_argument(f"--{field.name.replace('_', '-')}", **options)


def fields_of(kind: type, args: argparse.Namespace) -> dict:
    """The values given for the fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}
