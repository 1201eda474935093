"""Measurements, each by one command that writes its report."""
