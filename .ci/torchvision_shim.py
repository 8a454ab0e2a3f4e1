"""Makes a torchvision built for CUDA importable beside a CPU build of torch; changes nothing elsewhere.

torchvision registers kernels for its compiled operators on import, and fails where these did not load
("operator torchvision::nms does not exist"). `make` runs this with the environment's Python: only where that
happens, two files in site-packages declare the operators before torchvision is imported. Nothing in arbiscale
uses the operators.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "_declare_torchvision_operators"
HOOK = '''"""Written by arbiscale's make: declares the operators that torch's CPU build lacks."""

import sys


class _Declare:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            self.library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return None


_declare = _Declare()  # the declarations live as long as this
sys.meta_path.insert(0, _declare)
'''


def main() -> None:
    """Write the files where they are needed."""
    packages = Path(sysconfig.get_path("purelib"))
    done = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    if "operator torchvision::nms does not exist" not in done.stderr:
        return
    (packages / f"{NAME}.py").write_text(HOOK, encoding="utf-8")
    (packages / f"{NAME}.pth").write_text(f"import {NAME}\n", encoding="utf-8")
    print(
        "torchvision: built for another torch; its operators are declared in this environment",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
