"""Lets torchvision's default (CUDA) wheel be imported beside a CPU build of torch.

torchvision registers fake kernels for its compiled operators on import and fails when these did not
load. lightning, lpips, diffusers, torchmetrics and torch-fidelity all import torchvision, so import
this module before them. The operators themselves (box suppression) are used nowhere here.
"""

import importlib
import sys

import torch


def _declare_missing_operators() -> None:
    """Declare the schemas whose absence stops the import; does nothing where torchvision is whole."""
    global _library
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "DEF")
        _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


_library: torch.library.Library | None = None  # schemas live as long as this object
_declare_missing_operators()
