"""What happened to a job, as an auditor reads it, proves it, and compares it with the stores."""

import asyncio
import os
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
from typer.testing import CliRunner

from devstack import stories
from devstack.api import Api
from devstack.cli import app
from devstack.demo import Demo
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.stories import Workshop

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def here(whole_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bayline` finds this stack."""
    monkeypatch.setenv("BAYLINE_HOME", str(whole_stack.parts.home))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(whole_stack.parts.environments.offset))


async def test_a_job_is_audited_with_proofs_through_a_kill_of_the_audit(
    demo: Demo, whole_stack: Stack, berlin: Workshop, tmp_path: Path
) -> None:
    visit = berlin.visit(Random(11))
    telling = asyncio.create_task(stories.closed(visit))
    await asyncio.sleep(0.4)
    os.kill(whole_stack.running()["audit"].pid, SIGKILL)
    await telling
    await asyncio.to_thread(whole_stack.up, lambda name, text: None)
    auditor = demo.api("acme", "auditor")
    job = visit.job["name"]
    history = await berlin.people["manager"].get(f"/v1/{job}/history")

    records = await _audited(auditor, job, len(history["entries"]))

    assert [record["type"].rpartition(".")[2] for record in records] == [
        entry["type"].rpartition(".")[2] for entry in history["entries"]
    ]
    kept = tmp_path / "checkpoint"
    kept.write_text((await auditor.get("/v1/auditLog"))["checkpoint"]["note"])
    proof = tmp_path / "proof.json"
    event = records[-1]["name"].removeprefix("auditRecords/")
    proof.write_text(await _bayline("audit", "prove", event))
    assert f"event {event}" in await _bayline("audit", "verify-proof", str(proof))
    assert "begin its" in await _bayline("audit", "consistency", "--from", str(kept))
    assert "NOT" not in await _bayline("audit", "verify")
    assert "events" in await _bayline("audit", "reconcile")


async def test_a_tenant_nobody_has_heard_of_is_not_verified(demo: Demo) -> None:
    said = await asyncio.to_thread(RUNNER.invoke, app, ["audit", "verify", "--tenant", "nobody"])

    assert isinstance(said.exception, StackFailure)
    assert said.exception.message == "nothing was ever recorded of nobody"


async def test_a_log_on_files_is_verified_without_the_stack(demo: Demo, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(await _bayline("audit", "key"))
    await _bayline("audit", "export", str(tmp_path / "log"))

    said = await _bayline("audit", "verify", "--export", str(tmp_path / "log"), "--key", str(key))

    assert "checkpoints hold" in said


async def _bayline(*arguments: str) -> str:
    """In a thread: it runs a loop of its own."""
    done = await asyncio.to_thread(RUNNER.invoke, app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


async def _audited(auditor: Api, job: str, count: int) -> list[dict[str, str]]:
    async with asyncio.timeout(60):
        while True:
            found = await auditor.get("/v1/auditRecords", resource=job, pageSize="200")
            records = [each["record"] for each in found.get("records", ())]
            if len(records) == count:
                return records
            await asyncio.sleep(0.2)
