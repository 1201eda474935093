"""Proves that a deployment keeps its promises, while its parts are being killed.

`requirements.yaml` says what is promised. An *experiment* does something to a target and records a history; a *judge*
is a pure function from histories to a finding on one requirement. So every verdict can be computed again.
"""
