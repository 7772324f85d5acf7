"""What a run did, what it found, and what it proves: Markdown for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testkit.proof.evidence import Evidence
from testkit.proof.history import Outcome
from testkit.proof.invariants import INVARIANTS, Violation


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    minutes: float
    clients: int
    faults: Mapping[str, int]
    deaths: Sequence[str]
    asked_again: int  # commands with at least one attempt of unknown outcome
    endings: Mapping[str, int]
    evidence: Evidence
    violations: Sequence[Violation]

    @property
    def kills(self) -> int:
        return sum(n for what, n in self.faults.items() if what.startswith("kill -9"))

    @property
    def holds(self) -> bool:
        return not (self.violations or self.deaths)

    def markdown(self) -> str:
        return "\n".join(
            [
                self._summary(),
                "",
                "| fault | times |",
                "|---|---|",
                *(f"| {what} | {times} |" for what, times in sorted(self.faults.items())),
                "",
                "| what there was | |",
                "|---|---|",
                *(f"| {what} | {number} |" for what, number in self._figures()),
                "",
                "| invariant | |",
                "|---|---|",
                *(f"| {name} | {self._verdict(name)} |" for name in INVARIANTS),
                *(f"\n{each.invariant}: {each.what}" for each in self.violations),
                *(f"\nNobody had killed it: {death}" for death in self.deaths),
                "",
            ]
        )

    def _summary(self) -> str:
        run = f"{self.minutes:g} minutes, seed {self.seed}, {self.clients} clients"
        every = sum(self.faults.values())
        return f"{run}: {self.kills} times kill -9 of a service, {every} faults in all."

    def _figures(self) -> list[tuple[str, int]]:
        outcomes = Counter(command.outcome for command in self.evidence.commands or ())
        published = sum(map(len, self.evidence.topics.values()))
        return [
            ("commands accepted", outcomes[Outcome.ACCEPTED]),
            ("commands refused by a rule", outcomes[Outcome.REFUSED]),
            ("commands asked for again because their outcome was unknown", self.asked_again),
            ("commands whose outcome stayed unknown", outcomes[Outcome.UNKNOWN]),
            ("visits told to their end", self.endings.get("told", 0)),
            ("events stored", len(self.evidence.events)),
            ("records published", published),
            ("of them again", published - len(self.evidence.events)),
            ("rows projected", sum(map(len, self.evidence.rows.values()))),
            ("claims held", len(self.evidence.claims)),
        ]

    def _verdict(self, invariant: str) -> str:
        found = sum(each.invariant == invariant for each in self.violations)
        return f"**{found} violations**" if found else "holds"
