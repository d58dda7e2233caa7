"""Files that ship with nirjax; `README.md` beside them says where they come from."""

from pathlib import Path

FOLDER = Path(__file__).parent

DIGITS_GRAPH = FOLDER / "digits.nir"
"""A recurrent spiking classifier of handwritten digits, trained in snnTorch and written by its exporter."""

DIGITS_DATA = FOLDER / "digits.npz"
"""The images, their split, and what snnTorch answered on the test images."""
