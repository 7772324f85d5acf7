from assembly.folding import Key, Row, folded

ONE, TWO, OTHERS = ("acme", "one"), ("acme", "two"), ("other", "one")


def told(text: str, event: str) -> str:
    return text + event


def rows_after(events: list[tuple[Key, int, str]], **rows: Row[str]) -> dict[Key, Row[str]]:
    known = {("acme", stream): row for stream, row in rows.items()}
    return folded(told, "", known, events)


def test_each_stream_is_a_row_of_its_own() -> None:
    events = [(ONE, 1, "a"), (TWO, 1, "x"), (ONE, 2, "b"), (OTHERS, 1, "z")]

    assert rows_after(events) == {ONE: Row("ab", 2), TWO: Row("x", 1), OTHERS: Row("z", 1)}


def test_a_row_goes_on_from_where_it_was_left() -> None:
    assert rows_after([(ONE, 3, "c")], one=Row("ab", 2)) == {ONE: Row("abc", 3)}


def test_what_a_row_has_seen_before_changes_nothing() -> None:
    seen = [(ONE, 1, "a"), (ONE, 2, "b")]

    assert rows_after(seen, one=Row("ab", 2)) == {}
    assert rows_after([*seen, (ONE, 3, "c"), *seen], one=Row("ab", 2)) == {ONE: Row("abc", 3)}


def test_rows_that_no_event_is_about_are_left_alone() -> None:
    assert rows_after([(TWO, 1, "x")], one=Row("ab", 2)) == {TWO: Row("x", 1)}
