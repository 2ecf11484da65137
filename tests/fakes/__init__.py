"""Servers as their protocols have them, with a model that is a function."""
