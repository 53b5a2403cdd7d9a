"""Colours as people see them who do not tell all of them apart, and in print without colour."""

import numpy as np
from matplotlib.colors import to_rgb

DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""

TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
"""IEC 61966-2-1: linear sRGB to CIE XYZ."""


def seen(color, deficiency="none"):
    """CIELAB of a colour as somebody with a deficiency sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    left = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    x, y, z = np.cbrt(np.array(TO_XYZ) @ left / np.array(TO_XYZ).sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one, other):
    """The least distance of two colours, in CIELAB of any eye and in lightness alone."""
    eyes = (np.linalg.norm(seen(one, each) - seen(other, each)) for each in DEFICIENCIES)
    return min(abs(seen(one)[0] - seen(other)[0]), *eyes)
