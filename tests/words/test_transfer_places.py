"""Weights that are made of rows and sums of a model's own arrays, said both ways."""

from xconv.spec import Computed, Rows
from xconv.transfers.places import Piece, part, read_from, written_to
from xconv.transfers.plan import Fill, Join, Part, Sum, Take, is_move, shape_of, taken
from xconv.weights import Weight

INPUT, STATE = Weight.of("bias_ih", (6,)), Weight.of("bias_hh", (6,))
GATES = Computed(tuple((Rows(INPUT, start, start + 2),) for start in (2, 0, 4)))
BOTH = Computed(((Rows(INPUT, 0, 6), Rows(STATE, 0, 6)),))
WHOLE = Weight.of("whole", (6,))


def test_an_array_of_the_model_is_taken_as_it_is() -> None:
    weight = Weight.of("kernel", (3, 4)).transpose((1, 0))
    assert read_from(weight, {}) == Take(weight)
    assert list(written_to(weight, Fill((4, 3), 0.0), {})) == [Piece(weight, Fill((4, 3), 0.0))]


def test_blocks_of_rows_are_read_in_their_order_and_written_back() -> None:
    formula = read_from(WHOLE, {"whole": GATES})
    assert formula == Join(tuple(Part(Take(INPUT), start, start + 2) for start in (2, 0, 4)))
    assert is_move(formula)
    assert shape_of(formula) == (6,)
    keras = Take(Weight.of("gru/2", (6,)))
    pieces = list(written_to(WHOLE, keras, {"whole": GATES}))
    assert [(piece.rows, piece.formula) for piece in pieces] == [
        ((2, 4), Part(keras, 0, 2)),
        ((0, 2), Part(keras, 2, 4)),
        ((4, 6), Part(keras, 4, 6)),
    ]


def test_a_sum_is_written_into_its_first_term() -> None:
    assert read_from(WHOLE, {"whole": BOTH}) == Sum(Take(INPUT), Take(STATE))
    first, second = written_to(WHOLE, Take(Weight.of("lstm/2", (6,))), {"whole": BOTH})
    assert (first.target, first.rows) == (INPUT, None)
    assert second.formula == Fill((6,), 0.0)
    assert "zeros in bias_hh" in first.note


def test_two_sums_of_one_form_go_term_by_term() -> None:
    ours = Weight.of("ours", (6,))
    terms = Weight.of("a", (6,)), Weight.of("b", (6,))
    there = {"ours": Computed((tuple(Rows(term, 0, 6) for term in terms),))}
    pieces = list(written_to(WHOLE, read_from(ours, there), {"whole": BOTH}, (ours, there)))
    assert [piece.formula for piece in pieces] == [Take(term) for term in terms]
    assert not any(piece.note for piece in pieces)


def test_rows_of_rows_are_rows_of_the_models_own_array() -> None:
    computed = {"inner": GATES, "outer": Computed(((Rows(Weight.of("inner", (6,)), 2, 4),),))}
    assert read_from(Weight.of("outer", (2,)), computed) == Part(Take(INPUT), 0, 2)
    (piece,) = written_to(Weight.of("outer", (2,)), Fill((2,), 1.0), computed)
    assert (piece.target, piece.rows) == (INPUT, (0, 2))


def test_rows_of_joined_rows_are_cut_from_the_part_that_holds_them() -> None:
    joined = Join((Take(INPUT), Take(STATE)))
    assert part(joined, 6, 12) == Take(STATE)
    assert part(joined, 7, 9) == Part(Take(STATE), 1, 3)
    assert part(joined, 5, 7) == Part(joined, 5, 7)
    assert [weight.key for weight in taken(joined)] == ["bias_ih", "bias_hh"]
