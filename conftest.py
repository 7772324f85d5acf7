"""What every test of the workspace may use."""

pytest_plugins = ["testkit.plugin"]
