from dataclasses import replace

from audit.application.reconciling import Difference, Stored, behind, differences

GENESIS = b"genesis"
HASHES = [b"one", b"two", b"three", b"four"]
STORE = [
    Stored(pos, HASHES[pos - 1], [GENESIS, *HASHES][pos - 1], HASHES[pos - 1])
    for pos in range(1, 5)
]
AUDIT = {pos: {HASHES[pos - 1]} for pos in range(1, 5)}


def found(store: list[Stored], audit: dict[int, set[bytes]]) -> list[Difference]:
    return list(differences(store, GENESIS, audit))


def test_a_store_and_an_audit_log_that_agree_have_no_difference() -> None:
    assert found(STORE, AUDIT) == []
    assert behind(STORE, AUDIT) == 0


def test_an_empty_shard_agrees_with_nothing() -> None:
    assert found([], {}) == []


def test_events_the_audit_has_not_come_to_are_no_difference() -> None:
    audit = {1: AUDIT[1], 2: AUDIT[2]}

    assert found(STORE, audit) == []
    assert behind(STORE, audit) == 2
    assert behind(STORE, {}) == 4


def test_an_event_that_the_audit_missed_is_named() -> None:
    audit = {pos: hashes for pos, hashes in AUDIT.items() if pos != 2}

    assert found(STORE, audit) == [Difference(2, "the audit log has no such event")]


def test_an_event_that_differs_is_named() -> None:
    audit = AUDIT | {3: {b"other"}}

    assert found(STORE, audit) == [Difference(3, "the audit log has another event there")]


def test_an_event_recorded_in_one_of_two_epochs_agrees() -> None:
    assert found(STORE, AUDIT | {3: {b"before the restore", b"three"}}) == []


def test_an_event_changed_in_the_store_is_named() -> None:
    store = [*STORE[:1], replace(STORE[1], computed=b"changed"), *STORE[2:]]

    assert found(store, AUDIT) == [
        Difference(2, "the store's event is not what its hash chain says")
    ]


def test_a_chain_that_does_not_continue_is_named() -> None:
    store = [*STORE[:2], replace(STORE[2], previous_hash=b"elsewhere"), STORE[3]]

    assert found(store, AUDIT) == [
        Difference(3, "the store's event is not what its hash chain says")
    ]


def test_an_event_deleted_in_the_store_is_named() -> None:
    assert found([*STORE[:1], *STORE[2:]], AUDIT) == [Difference(2, "the store has no such event")]


def test_events_the_store_lost_are_named() -> None:
    assert found(STORE[:2], AUDIT) == [
        Difference(pos, "the store has lost an event that the audit log has") for pos in (3, 4)
    ]
