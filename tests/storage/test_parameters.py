"""Parameters of notebooks are found in what was run, and checked by name and type."""

import pytest

from ddpmlib.storage.parameters import (
    accepting_old_names,
    check_parameters,
    check_type,
    notebook_parameters,
)

OURS = "# Parameters, with their defaults\nepochs = 10\nname = 'a'"
INJECTED = "# Parameters\nname = 'b'\n"


def scope(*cells, **values):
    return {"In": ["", "import x", *cells, "check()"], **values}


def test_names_come_from_the_cell_and_from_papermill():
    given = scope(OURS, "# Parameters\nepoch = 3", epochs=10, name="a", epoch=3)
    assert notebook_parameters(given) == {"epochs": 10, "name": "a", "epoch": 3}


def test_an_edited_cell_that_ran_again_counts_alone():
    old = "# Parameters, with their defaults\nforgotten = 1"
    assert notebook_parameters(scope(old, OURS, forgotten=1, epochs=10, name="a")) == {
        "epochs": 10,
        "name": "a",
    }


def test_unknown_and_wrong_parameters_name_themselves():
    with pytest.raises(TypeError, match="unknown parameter 'name'; known: epochs"):
        check_parameters(scope(OURS, INJECTED, epochs=10, name="b"), epochs=int)
    with pytest.raises(TypeError, match=r"epochs is '10' \(str\); it must be a whole number"):
        check_parameters(scope(OURS, epochs="10", name="b"), epochs=int, name=str)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(1, int), (1, float), (1.5, float), (None, float | None), (True, bool), ("", str), ([], list)],
)
def test_good_types_pass(value, wanted):
    check_type("x", value, wanted)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (True, int),
        (1.0, int),
        ("1", float),
        (True, float),
        (None, float),
        (1, bool),
        (None, str),
        ("a", list),
    ],
)
def test_bad_types_do_not(value, wanted):
    with pytest.raises(TypeError, match=r"^x is .* it must be"):
        check_type("x", value, wanted)


def test_a_cell_without_its_first_words_is_missed_by_name():
    with pytest.raises(ValueError, match="must begin with '# Parameters, '"):
        notebook_parameters(scope("epochs = 10", INJECTED, epochs=10, name="b"))


def test_names_assigned_together_are_found():
    given = scope("# Parameters, with their defaults\na, b = 1, 2", a=1, b=2)
    assert notebook_parameters(given) == {"a": 1, "b": 2}


def test_a_number_that_is_conditioned_on_or_said_is_a_text():
    """Papermill makes numbers of `-p condition 84` and `-p text 1.5`."""
    cell = "# Parameters, with their defaults\ncondition = ''\nword, count = 'boat', 3\nname = 'a'"
    injected = "# Parameters\ncondition = 84\nword = 1.5\n"
    given = scope(cell, injected, condition=84, word=1.5, count=3, name="a")
    wanted = {"condition": "84", "word": "1.5", "count": 3, "name": "a"}
    types = {"condition": str, "word": str, "count": int, "name": str}
    assert check_parameters(given, **types) == wanted
    assert {name: given[name] for name in wanted} == wanted
    for other in (True, None, [84]):
        with pytest.raises(TypeError, match=r"^condition is .* it must be a text"):
            check_parameters(scope(cell, **wanted | {"condition": other}), **types)


def test_an_old_name_works_and_one_line_names_the_new_one(capsys):
    cell = "# Parameters, with their defaults\nnum_steps = 50\nname = 'a'"
    given = scope(cell, "# Parameters\nsteps = 3", num_steps=50, name="a", steps=3)
    values = check_parameters(given, num_steps=int, name=str)
    assert values == {"num_steps": 3, "name": "a"}  # and not the default of the notebook's own cell
    assert (given["num_steps"], given["name"]) == (3, "a")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("'steps' is now called 'num_steps'")


def test_old_keyword_names_of_a_function_are_accepted(capsys):
    @accepting_old_names
    def sample(count, *, num_steps=50):
        return count, num_steps

    assert (sample(2), sample(2, num_steps=9)) == ((2, 50), (2, 9))
    assert capsys.readouterr().out == ""
    assert sample(2, steps=7) == (2, 7)
    assert "'steps' is now called 'num_steps'" in capsys.readouterr().out
    with pytest.raises(TypeError, match="unexpected keyword argument 'glances'"):
        sample(2, glances=7)
