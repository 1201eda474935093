"""What is done to a target, and how each requirement is judged by it. Importing this fills `requirements.TESTS`."""

from conformance.experiments import core, durable, failover, limit, managed, operations, security

__all__ = ["core", "durable", "failover", "limit", "managed", "operations", "security"]
