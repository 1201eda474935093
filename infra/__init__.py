"""From the configuration of a stack to a running deployment (docs/architecture.md)."""
