from workshop.application.queries import Visible


def test_what_a_caller_sees_is_told_by_sites_and_by_who_asked() -> None:
    assert Visible(frozenset({"ber"}), "mia") == Visible(frozenset({"ber"}), "mia")
    assert Visible(frozenset(), "mia") != Visible(None, "mia")
