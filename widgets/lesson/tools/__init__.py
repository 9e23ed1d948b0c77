"""Figures that are tools: something real, a slider, and what follows from it."""

from widgets.lesson.tools.huffman import HuffmanTool
from widgets.lesson.tools.levels import LevelEditor
from widgets.lesson.tools.mask import MaskTool
from widgets.lesson.tools.rank import RankTool
from widgets.lesson.tools.temperature import TemperatureTool

__all__ = ["HuffmanTool", "LevelEditor", "MaskTool", "RankTool", "TemperatureTool"]
