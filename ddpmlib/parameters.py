"""Parameters of notebooks and runs: found, and checked by name and type before anything runs."""

import ast

MARK = "# Parameters"  # first words of a notebook's parameters cell, and of papermill's


def notebook_parameters(scope: dict) -> dict:
    """Names and values set by the parameters cell, and by the cell that papermill adds to it.

    Args:
        scope: `globals()` of the notebook; `In` in it is what IPython has run so far.

    Raises:
        ValueError: no cell begins like a parameters cell.
    """
    names = []
    for source in reversed(scope["In"]):
        if not source.startswith(MARK):
            continue
        nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)]
        names += [node.id for node in nodes if isinstance(node.ctx, ast.Store)]
        if source.splitlines()[0].strip() != MARK:  # papermill's line is bare; ours says more
            break
    else:
        raise ValueError(f"no parameters found: their cell must begin with '{MARK}, '")
    return {name: scope[name] for name in names}


def check_parameters(scope: dict, **kinds) -> None:
    """Refuse a parameter of a notebook that is unknown or of another type than named here.

    Raises:
        TypeError: names the parameter, its value, and what is needed.
    """
    for name, value in notebook_parameters(scope).items():
        if name not in kinds:
            raise TypeError(f"unknown parameter {name!r}; known: {', '.join(sorted(kinds))}")
        check_type(name, value, kinds[name])


def check_type(name: str, value, wanted) -> None:
    """Raise TypeError unless a value is of the type wanted, naming both.

    A whole number may stand for a float; nothing else is converted.
    """
    kinds = {
        bool: (bool, "True or False"),
        int: (int, "a whole number"),
        float: (int | float, "a number"),
        float | None: (int | float | None, "a number or None"),
        str: (str, "a text"),
        list: (list, "a list [...]"),
        tuple[int, int]: (tuple, "two whole numbers [height, width]"),
    }
    kind, words = kinds[wanted]
    good = isinstance(value, kind) and (wanted is bool or not isinstance(value, bool))
    if wanted == tuple[int, int]:
        good = good and len(value) == 2 and all(type(side) is int for side in value)
    if not good:
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); it must be {words}")
