"""Personal data in text: found, masked, counted (the editor `pii`)."""

from .find import KINDS, PLACEHOLDERS, find
from .stage import Pii
from .text import Hit

__all__ = ["KINDS", "PLACEHOLDERS", "Hit", "Pii", "find"]
