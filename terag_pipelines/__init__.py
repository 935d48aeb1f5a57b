"""TERAG Pipelines: the domain, in plain Python over Arrow, pandas and numpy."""

from importlib.metadata import version

__version__ = version("terag-pipelines")
