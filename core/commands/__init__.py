"""What the commands of `cito` do, one file a topic; `cito.core.cli` gives them their names."""
