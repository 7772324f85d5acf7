"""An event that a service cannot apply: to its dead-letter topic, and home again once it can."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devstack.api import Api
from devstack.demo import Demo
from devstack.stack import Stack
from messaging.dlq import dlq_of
from testkit.servers import KafkaServer
from testkit.topics import eventually, everything_in
from vehicle.adapters import codec

BAYLINE = Path(sys.executable).parent / "bayline"
CONSUMER = "vehicle.vehicle-list"
POISON, CURE = "POISON-1", "CURED-1"
ILL = f"ALTER TABLE read.vehicle ADD CONSTRAINT ill CHECK (plate <> '{POISON}')"
WELL = "ALTER TABLE read.vehicle DROP CONSTRAINT IF EXISTS ill"
