"""From the former system to this one: its sessions are imported, its class is an adapter (docs/migration.md)."""
