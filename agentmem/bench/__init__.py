"""Benchmarks: each is a module run with python -m."""
