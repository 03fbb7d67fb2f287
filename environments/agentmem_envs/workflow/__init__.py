"""A workflow of your own: a declarative definition, and the environment that it becomes."""
