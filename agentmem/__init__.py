"""Compressive episodic memory for agents."""
