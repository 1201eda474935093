"""Pure functions from a history to what is wrong with it. No I/O, no target, no verdict."""
