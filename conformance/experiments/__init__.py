"""What is done to a target, and how each requirement is judged by it. Importing this fills `requirements.TESTS`."""

from conformance.experiments import core, durable, failover, limit, managed, monitoring, operations, security, upkeep

__all__ = ["core", "durable", "failover", "limit", "managed", "monitoring", "operations", "security", "upkeep"]
