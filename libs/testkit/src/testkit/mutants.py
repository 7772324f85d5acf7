"""`make mutants`: each line that keeps a promise is taken out of a copy, and its test must go red.

A mutant that survives means that a promise is kept by luck.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.places import environment

ROOT = Path(__file__).parents[4]
STORE = "libs/eventstore/src/eventstore"
MESSAGING = "libs/messaging/src/messaging"
EVENTSTORE_TESTS = "libs/eventstore/tests"
CONTRACT = f"{EVENTSTORE_TESTS}/test_postgres.py::TestPostgresEventStore"
WAITING = f"{EVENTSTORE_TESTS}/test_waiting.py"
MESSAGING_TESTS = "libs/messaging/tests"
DOOR = "services/gateway/tests/test_door.py"
JOB = "services/workshop/src/workshop/domain/job"
WORKSHOP_TESTS = "services/workshop/tests/domain"
RUNTIME = "libs/runtime/src/runtime"
OUTAGE = f"{MESSAGING_TESTS}/test_outage.py"
SUPERVISION = "libs/runtime/tests/test_supervision.py"
FAILED = 1  # what pytest says when it ran, and a test was red

KEY_FIRST = """\
  PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || E'\\x01' || p_key, 1));
"""
LOCK_FIRST = """\
  SELECT s.pos, s.hash, s.at INTO STRICT b, h, t FROM es.head s WHERE s.log = p_log AND s.shard = k FOR UPDATE;
"""
LOOK = """\
  SELECT * INTO r FROM es.idem i WHERE i.tenant = p_tenant AND i.key = p_key;
"""
CLAIM = """\
    PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || E'\\x01' || c.s || E'\\x01' || c.k, 2));
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`kept` stands in the file exactly once; `tests` are green with it and red with `lost`."""

    promise: str
    file: str
    kept: str
    lost: str
    tests: tuple[str, ...]

    def applied_to(self, copy: Path) -> None:
        path = copy / self.file
        text = path.read_text()
        if text.count(self.kept) != 1:
            raise SystemExit(f"{self.promise}: what it takes out is not in {self.file} once")
        path.write_text(text.replace(self.kept, self.lost))


MUTANTS = (
    Mutant(
        "the head is locked before anything is looked at",
        f"{STORE}/migrations/0001_es.sql",
        LOCK_FIRST,
        LOCK_FIRST.replace(" FOR UPDATE", ""),
        (f"{WAITING}::test_the_same_version_of_a_stream_is_refused",),
    ),
    Mutant(
        "one command at a time for each key",
        f"{STORE}/migrations/0001_es.sql",
        KEY_FIRST,
        "",
        (f"{WAITING}::test_the_same_key_on_another_stream_is_answered_as_the_first",),
    ),
    Mutant(
        "a key used before is answered as it was",
        f"{STORE}/migrations/0001_es.sql",
        LOOK,
        LOOK.replace("i.key = p_key", "i.key = p_key AND false"),
        (f"{CONTRACT}::test_a_key_used_again_answers_as_it_did",),
    ),
    Mutant(
        "one taker at a time for each claim",
        f"{STORE}/migrations/0001_es.sql",
        CLAIM,
        "",
        (f"{WAITING}::test_the_same_claim_of_another_stream_is_refused",),
    ),
    Mutant(
        "a claim that another holds is refused",
        f"{STORE}/migrations/0001_es.sql",
        "AND q.during && c.d AND q.stream <> p_stream LIMIT 1;",
        "AND false LIMIT 1;",
        (f"{CONTRACT}::test_what_is_claimed_is_not_claimed_again",),
    ),
    Mutant(
        "bounds before the append: what the lines of a job add up to",
        f"{JOB}/estimate.py",
        "    refuse_sum(net_of(after.lines), bounds.MOST_NET_MINOR, facts.currency)\n",
        "",
        (
            f"{WORKSHOP_TESTS}/test_bounds.py::test_two_estimates_that_no_number_can_hold_are_refused",
        ),
    ),
    Mutant(
        "bounds before the append: the bytes of an event",
        f"{STORE}/postgres.py",
        "        refuse_oversize(record.ByteSize() for record in records)\n",
        "",
        (f"{CONTRACT}::test_the_largest_event_is_stored_and_read_and_one_that_is_larger_is_not",),
    ),
    Mutant(
        "bounds of the contract: no time is less than none",
        "libs/runtime/src/runtime/validation.py",
        "(value.seconds, value.nanos) < (rules.minimum, 0)",
        "value.seconds < rules.minimum - 10**9",
        (
            "libs/runtime/tests/test_validation.py::test_a_broken_rule_names_its_field[a negative time]",
        ),
    ),
    Mutant(
        "sealed words are bound to their place",
        f"{STORE}/sealing.py",
        '    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)\n',
        '    return b"" if parts else b"bound to nothing"\n',
        (f"{EVENTSTORE_TESTS}/test_sealing.py::test_a_seal_cannot_be_carried_elsewhere",),
    ),
    Mutant(
        "a relay moves its cursor only from where it is",
        f"{STORE}/tail.py",
        " AND c.shard = u.shard AND c.pos = u.old\n",
        " AND c.shard = u.shard\n",
        (f"{EVENTSTORE_TESTS}/test_tail.py::test_a_cursor_moves_from_where_it_is_only",),
    ),
    Mutant(
        "a relay moves its cursor only while the lease is its own",
        f"{STORE}/tail.py",
        "WHERE log = %s AND grp = %s AND owner = %s AND fence = %s FOR SHARE)",
        "WHERE (log = %s AND grp = %s AND owner = %s AND fence = %s) IS NOT NULL LIMIT 1)",
        (
            f"{EVENTSTORE_TESTS}/test_tail.py::test_a_relay_that_overslept_its_lease_cannot_move_the_cursor",
        ),
    ),
    Mutant(
        "a consumer moves its cursor only from where it is",
        f"{MESSAGING}/cursor.py",
        "\n  AND c.pos = u.old_pos AND c.epoch = u.old_epoch",
        "",
        (
            f"{MESSAGING_TESTS}/test_consumer.py::test_a_consumer_whose_cursor_was_moved_by_another_gives_way",
        ),
    ),
    Mutant(
        "what a consumer has seen it skips",
        f"{MESSAGING}/cursor.py",
        "        if envelope.pos < self.pos:\n            return Verdict.SEEN\n",
        "        if envelope.pos < self.pos:\n            return Verdict.NEXT\n",
        (
            f"{MESSAGING_TESTS}/test_cursor.py::test_an_event_seen_before_is_skipped",
            f"{MESSAGING_TESTS}/test_consumer.py::test_a_whole_topic_published_again_changes_nothing",
        ),
    ),
    Mutant(
        "a gap is not read over",
        f"{MESSAGING}/cursor.py",
        "            return Verdict.GAP\n",
        "            return Verdict.NEXT\n",
        (
            f"{MESSAGING_TESTS}/test_cursor.py::test_an_event_too_far_ahead_is_a_gap",
            f"{MESSAGING_TESTS}/test_consumer.py::test_a_gap_in_the_topic_is_filled_from_the_store",
        ),
    ),
    Mutant(
        "the cursor moves after the acknowledgements",
        f"{MESSAGING}/relay.py",
        """\
        await publish([envelope_from(row) for row in rows])
        await hit("relay.after_acks")
        await self._tail.advance(rows)
""",
        """\
        await self._tail.advance(rows)
        await publish([envelope_from(row) for row in rows])
        await hit("relay.after_acks")
""",
        (f"{MESSAGING_TESTS}/test_relay.py::test_a_crash_anywhere_loses_nothing[mid_produce]",),
    ),
    Mutant(
        "rows and cursor are one transaction",
        f"{MESSAGING}/cursor.py",
        "            async with connection.pipeline(), connection.transaction():\n",
        "            async with connection.pipeline():\n",
        (
            f"{MESSAGING_TESTS}/test_consumer.py::test_passing_trouble_is_waited_out_and_never_parked[trouble0]",
        ),
    ),
    Mutant(
        "token before parse",
        "services/gateway/src/gateway/door.py",
        "            await self._admit(scope)\n",
        "            await receive()\n            await self._admit(scope)\n",
        (f"{DOOR}::test_nobody_is_waited_for_who_is_refused_anyway",),
    ),
    Mutant(
        "role before parse",
        "libs/transcoding/src/transcoding/routes.py",
        "        with suppress(ClientDisconnect), self._admit(self._method, scope):\n",
        "        await receive()\n"
        "        with suppress(ClientDisconnect), self._admit(self._method, scope):\n",
        (f"{DOOR}::test_nobody_is_waited_for_who_is_refused_anyway",),
    ),
    Mutant(
        "a stream that has ended makes room",
        "services/gateway/src/gateway/limits.py",
        "            self._release(yours)\n",
        "            self._open[yours] += 0\n",
        (
            "services/gateway/tests/test_limits.py::TestStreams::test_a_stream_that_breaks_or_ends_makes_room",
        ),
    ),
    Mutant(
        "restart of a dead consumer",
        f"{RUNTIME}/supervision.py",
        "                    await self._begin_again(_cause(self._attempt))\n",
        "                    return\n",
        (
            f"{OUTAGE}::test_a_consumer_that_dies_is_begun_again_and_loses_and_doubles_nothing",
            f"{SUPERVISION}::test_a_cancellation_by_others_is_a_death_like_any_other",
        ),
    ),
    Mutant(
        "the age of what waits comes from the clock",
        f"{MESSAGING}/telemetry.py",
        "if self._waits or seconds > self._grace else 0.0",
        "if self._waits else 0.0",
        (
            f"{OUTAGE}::test_while_the_broker_is_away_what_waits_grows_older_and_then_all_goes_on[killed]",
        ),
    ),
)


def main() -> None:
    chosen = [each for each in MUTANTS if all(word in each.promise for word in sys.argv[1:])]
    with _copy() as copy:
        every = sorted({test for mutant in chosen for test in mutant.tests})
        if _pytest(copy, every, stop=False):
            raise SystemExit("the tests are red without any mutant")
        alive = [mutant for mutant in chosen if not _killed(mutant, copy)]
    for mutant in alive:
        sys.stdout.write(f"ALIVE: {mutant.promise}\n")
    sys.exit(bool(alive))


def _killed(mutant: Mutant, copy: Path) -> bool:
    """True when each of its tests is red."""
    mutant.applied_to(copy)
    codes = [_pytest(copy, [test], stop=True) for test in mutant.tests]
    shutil.copy(ROOT / mutant.file, copy / mutant.file)
    sys.stdout.write(f"{'killed' if set(codes) == {FAILED} else codes}: {mutant.promise}\n")
    sys.stdout.flush()
    return set(codes) == {FAILED}


def _pytest(copy: Path, tests: Sequence[str], *, stop: bool) -> int:
    """The copy's own packages come before those that are installed."""
    sources = os.pathsep.join(map(str, sorted(copy.glob("*/*/src"))))
    flags = ("-q", "--no-header", "-p", "no:cacheprovider", *(("-x",) if stop else ()))
    done = subprocess.run(  # noqa: S603 -- our own tests
        (sys.executable, "-m", "pytest", *flags, *tests),
        cwd=copy,
        env={**environment(), "PYTHONPATH": sources},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode not in {0, FAILED}:
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode


@contextmanager
def _copy() -> Iterator[Path]:
    """What tests need: members, their contracts, and what is built already."""
    with tempfile.TemporaryDirectory(prefix="bayline-mutants-") as folder:
        copy = Path(folder)
        for name in ("libs", "services", "protos"):
            shutil.copytree(
                ROOT / name,
                copy / name,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
            )
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, copy / name)
        (copy / "build").symlink_to(ROOT / "build")
        yield copy


if __name__ == "__main__":
    main()
