"""A unit for systemd that supervises this stack."""

import sys
from pathlib import Path

from devstack.components import Parts

UNIT = """\
[Unit]
Description=Bayline
After=network.target

[Service]
Environment=BAYLINE_HOME={home} BAYLINE_PORT_OFFSET={offset}
ExecStart={bayline} supervise
Restart=always
KillMode=mixed
TimeoutStopSec=120

[Install]
WantedBy=multi-user.target"""


def unit(parts: Parts) -> str:
    """Mixed: SIGTERM goes to the supervisor alone, which stops the others in their order."""
    bayline = Path(sys.executable).with_name("bayline")
    return UNIT.format(home=parts.home, offset=parts.environments.offset, bayline=bayline)
