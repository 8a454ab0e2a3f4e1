"""What is said of a wrong value, and of values that do not go together: its full key and the rule."""

from typing import Any

import pytest

from arbiscale.config.params import Params
from arbiscale.config.section import validate

from .conftest import PARAMS, VALUES, changed, complaint

NETWORK = VALUES["autoencoder"]["network"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", -1, "seed: must be an integer, at least 0 and at most 2147483647 (got -1)"),
        ("align.lr", 2, "align.lr: must be a number, above 0 and at most 1 (got 2)"),
        ("align.lr", "1e-6", "align.lr: must be a number, above 0 and at most 1 (got '1e-6')"),
        ("data.source", "web", "data.source: must be 'bundled', 'folder', 's3', 'urls', 'hub', 'div2k', "),
        ("data.source", "urls", "data.urls.addresses must name a file when source is urls"),
        ("data.source", "hub", "data.hub.repository must be given when source is hub"),
        ("data.urls.addresses", ["ftp://a/b.zip"], "data.urls.addresses.0: must be an address, https"),
        ("data.urls.addresses", ["https://me:pass@a/b"], "data.urls.addresses.0: an address must hold no "),
        ("data.urls.addresses", ["https://a/b.zip#sha256=0"], "data.urls.addresses.0: must match pattern"),
        ("data.downloads.mirrors", ["mirror"], "data.downloads.mirrors.0: must be an address, https"),
        ("data.hub.repository", "photos", "data.hub.repository: must look like owner/name (got 'photos')"),
        ("autoencoder.network.residual", 1, "autoencoder.network.residual: must be true or false (got 1)"),
        (
            "evaluate.scales",
            [4, 0.5],
            "evaluate.scales.1: must be a number, at least 1 and at most 64 (got 0.5)",
        ),
        (
            "diffusion.denoiser.multipliers",
            [1, 0],
            "diffusion.denoiser.multipliers.1: must be an integer, at least 1 (got 0)",
        ),
        ("register.model_nam", "x", "register.model_nam: unknown key; did you mean model_name?"),
        ("registr", {}, "registr: unknown key; did you mean register?"),
        ("data.source", "folder", "data.folder.path must name a directory when source is folder"),
        ("data.split.validation", ["rocket"], "data.split: scenes in both test and validation: rocket"),
        ("data.split.scene_pattern", "(", "data.split.scene_pattern: is not a regular expression"),
        ("data.s3.url", "https://bucket", "data.s3.url: must look like s3://bucket/prefix"),
        (
            "data.s3.endpoint_url",
            "https://me:secret@host",
            "data.s3.endpoint_url: must hold no user and password; set AWS_ACCESS_KEY_ID and ",
        ),
        ("data.shards", "https://bucket", "data.shards: must look like s3://bucket/prefix"),
        ("data.shards", "s3://bucket/prefix", "data.shards needs store: photographs (got auto)"),
        ("diffusion.process.beta_end", 1e-9, "diffusion.process.beta_end must not be below beta_start"),
        (
            "diffusion.denoiser.attention_factors",
            [3],
            "denoiser.attention_factors: 3 matches no level",
        ),
        (
            "diffusion.denoiser",
            VALUES["diffusion"]["denoiser"] | {"attention_width": 6, "transformer_layers": 1},
            "diffusion.denoiser.attention_width must be a multiple of 4 and divide the coarsest ",
        ),
        ("align.samples.gradient_steps", 999, "align.samples.gradient_steps must not exceed sampling.steps"),
        (
            "evaluate.sampling.sampler",
            "dpm",
            "evaluate.sampling.sampler: must be 'ddim', 'ddpm', 'dpm_solver', 'unipc' or 'euler' (got 'dpm')",
        ),
        (
            "evaluate.sampling",
            {"sampler": "unipc", "steps": 4, "spacing": "trailing", "eta": 0.5},
            "evaluate.sampling.eta must be 0 with sampler: unipc (only ddim takes it)",
        ),
        ("data.factor", 3, "data.augmentation.crop_px must be a multiple of factor"),
        ("data.factor", 2, "data.factor must be a multiple of the encoder's downsampling"),
        ("data.augmentation.crop_px", 124, "data.augmentation.crop_px must be a multiple of "),
        ("data.crop.shapes", ["256"], "data.crop.shapes.0: must be HEIGHTxWIDTH in pixels, such as 160x224"),
        ("data.crop.shapes", ["8x256"], "data.crop.shapes: no side may be below 16 px (got 8x256)"),
        ("data.crop.shapes", ["256x128", "128x64"], "data.crop.shapes: two have the same proportions"),
        (
            "data.crop.shapes",
            ["256x256", "192x320"],
            "data.crop.shapes: 192x320: set augmentation.transpose to 0, which would give samples of other",
        ),
        (
            "data.crop.shapes",
            ["252x256"],
            "data.crop.shapes: 252x256: times 1/2 (augmentation.crop_px / crop.size_px), which training ",
        ),
        (
            "data.crop.shapes",
            ["248x248"],
            "what training sees of data.crop.shapes (times augmentation.crop_px / crop.size_px) must be a "
            "multiple of 8 (",
        ),
        (
            "diffusion.task",
            "generation",
            "autoencoder.network.residual needs diffusion.task: ",
        ),
        (
            "evaluate.protocols",
            ["div2k"],
            "evaluate.folders.div2k: must name pictures, as protocols holds div2k",
        ),
        (
            "evaluate.diversity_seeds",
            1,
            "evaluate.diversity_seeds: must be 0 (off) or at least 2 (got 1)",
        ),
        ("evaluate.no_reference", ["brisque"], "evaluate.no_reference.0: must be "),
        ("evaluate.no_reference", ["niqe", "niqe"], "evaluate.no_reference: one is named twice"),
        ("evaluate.patch_fid_px", 8, "evaluate.patch_fid_px: must be 0 (off) or at least 16 (got 8)"),
        ("evaluate.patch_fid_px", 512, "evaluate.patch_fid_px: must not exceed crop_px where protocols are"),
        ("evaluate.protocols", ["sample", "sample"], "evaluate.protocols: one is named twice"),
        ("evaluate.scales", [], "evaluate.scales: must have at least 1 item (got [])"),
        ("register.gate.gain", ["psnr"], "register.gate.gain.0: must be METRIC=BOUND, such as psnr=0.1; "),
        ("evaluate.folders.benchmark", ["/data"], "evaluate.folders.benchmark.0: must be NAME=WHERE, such "),
        ("evaluate.folders.benchmark", ["a=s3://b/c"], "evaluate.folders.benchmark.0: must be a folder, or "),
        (
            "evaluate.folders.div2k",
            "https://a/b.zip#md5=0",
            "evaluate.folders.div2k: must be a folder, or look",
        ),
        (
            "evaluate.folders.div2k",
            "https://a/b.zip#folder=../c",
            "evaluate.folders.div2k: must be a folder, ",
        ),
        (
            "evaluate.folders.faces",
            "https://me:pass@a/b.zip",
            "evaluate.folders.faces: an address must hold no",
        ),
        (
            "data.split.benchmarks",
            ["a=https://b/c.zip#sha256=0"],
            "data.split.benchmarks.0: must be a folder",
        ),
        ("evaluate.extra_models", ["bicubic=a"], "evaluate.extra_models: bicubic: is a name already"),
        ("evaluate.extra_models", ["a=b", "a=c"], "evaluate.extra_models: a: is a name already"),
        ("evaluate.trade_off.steps", [4, 4], "evaluate.trade_off.steps: one is named twice (got [4, 4])"),
        ("evaluate.trade_off.steps", [0], "evaluate.trade_off.steps.0: must be an integer, at least 1"),
        ("evaluate.trade_off.scales", [0.5], "evaluate.trade_off.scales.0: must be a number, at least 1"),
        ("evaluate.trade_off.etas", [2], "evaluate.trade_off.etas.0: must be a number, at least 0 and at"),
        ("evaluate.trade_off.temperatures", [-0.1], "evaluate.trade_off.temperatures.0: must be a number"),
        (
            "evaluate.generation_sizes",
            ["0x5"],
            "evaluate.generation_sizes.0: must be HEIGHTxWIDTH in pixels, ",
        ),
        ("baselines.train", ["rdn"], "baselines.train.0: must be 'liif' or 'linf' (got 'rdn')"),
        ("baselines.train", ["liif", "liif"], "baselines.train: one is named twice"),
        ("baselines.liif.scales", [4, 2], "baselines.liif.scales must be [low, high] with low <= high"),
        (
            "data.realistic.jpeg.quality",
            [95, 40],
            "data.realistic.jpeg.quality: must be [low, high]",
        ),
        ("data.realistic.jpeg.quality", [40, 101], "data.realistic.jpeg.quality.1: must be "),
        ("data.realistic.blur.sigma_px", [0, 1], "data.realistic.blur.sigma_px.0: must be "),
        ("data.realistic.noise.deviation", [1], "data.realistic.noise.deviation: must have at least 2 items"),
        ("data.realistic.resize.factors", [0.0, 2.0], "data.realistic.resize.factors.0: must be "),
        ("data.realistic.rounds", 0, "data.realistic.rounds: must be "),
        ("data.realistic.blur.probability", 1.5, "data.realistic.blur.probability: must be "),
        ("data.degradation", "jpeg", "data.degradation: must be "),
        ("baselines.liif.network.head.kind", "flow", "baselines.liif.network.head.kind: flow is LINF's"),
        ("baselines.linf.network.head.kind", "liif", "baselines.linf.network.head.kind must be flow (got"),
        ("baselines.linf.fine_tuning.steps", 3, "baselines.linf.fine_tuning.steps must be even"),
        (
            "baselines.linf",
            VALUES["baselines"]["linf"]
            | {
                "decode_px": 24,
                "fine_tuning": {**VALUES["baselines"]["linf"]["fine_tuning"], "perceptual_weight": 1.0},
            },
            "baselines.linf.fine_tuning.perceptual_weight needs drawings of at least 32 px",
        ),
        ("runtime.device", "gpu", "runtime.device: must be auto, cpu, cuda, cuda:1 or mps (got"),
        (  # A23: the decoder was taught enlargements
            "autoencoder.target_px",
            [48, 512],
            "autoencoder.target_px must not exceed data.augmentation.crop_px (512 > 128)",
        ),
        (  # A23: AlexNet's pooling failed with a traceback
            "autoencoder",
            VALUES["autoencoder"] | {"lpips_weight": 0.1, "decode_px": 16},
            "autoencoder.lpips_weight needs autoencoder.decode_px and the least of target_px of at least 32",
        ),
        (
            "autoencoder",
            VALUES["autoencoder"]
            | {"lpips_weight": 0.1, "decode_px": 32}
            | {"network": NETWORK | {"head": NETWORK["head"] | {"kind": "flow", "patch_px": 3}}},
            "the smallest that AlexNet takes (got 30",
        ),
        (
            "autoencoder.network.head.patch_px",
            9,
            "autoencoder.network.head.patch_px: must be",
        ),  # of 8 px: none
        ("align.decode_px", 24, "align.lpips_weight needs align.decode_px and data.augmentation.crop_px of"),
        (
            "runtime.accumulate",
            3,
            "diffusion.training.batch_size must be a multiple of runtime.devices x num_nodes x accumulate "
            "(got 8 and 3)",
        ),
        (
            "evaluate",
            VALUES["evaluate"] | {"split": "validation", "crop_px": 257},
            "evaluate.crop_px must not exceed data.crop.size_px with evaluate.split: validation (257 > 256)",
        ),
        (
            "evaluate.protocols",
            ["generation"],
            "evaluate.protocols: none can be followed with diffusion.task: super_resolution",
        ),
    ],
)
def test_what_is_said(key: str, value: Any, said: str) -> None:
    assert said in complaint(changed(key, value))


@pytest.mark.parametrize("name", ["liif", "linf"])
def test_baselines_that_are_trained_fit_the_crops_and_the_table(name: str) -> None:
    small = changed(f"baselines.{name}.input_px", 33)
    validate(Params, small, PARAMS)  # it is not trained
    small["baselines"]["train"] = [name]
    assert complaint(small) == (
        f"baselines.{name}.input_px times the larger of scales must not exceed data.augmentation.crop_px "
        "(33 x 4 > 128)"
    )
    named = changed("baselines.train", [name])
    named["evaluate"]["extra_models"] = [f"{name}=pretrained/{name}"]
    assert complaint(named) == (
        f"evaluate.extra_models: {name}: is a name already, as baselines.train lists it"
    )


def test_float16_needs_an_accelerator_where_a_training_takes_it() -> None:
    values = changed("align.timesteps.precision", "float16")
    validate(Params, values, PARAMS)  # the device is chosen later
    values["runtime"]["device"] = "cpu"
    assert complaint(values).startswith(
        "align.timesteps.precision: float16 needs CUDA, not runtime.device: cpu"
    )
    untrained = changed("baselines.liif.training.precision", "float16")
    untrained["runtime"]["device"] = "cpu"
    validate(Params, untrained, PARAMS)


def test_rules_that_span_sections_are_all_named_at_once() -> None:
    values = changed("autoencoder.target_px", [48, 256])
    values["evaluate"]["sampling"]["steps"] = 2000
    said = complaint(values)
    assert "autoencoder.target_px must not exceed" in said
    assert "; evaluate.sampling.steps must not exceed diffusion.process.timesteps" in said


def test_every_mistake_is_named_at_once() -> None:
    said = complaint(changed("seed", "x") | {"evaluate": 3})
    assert said.startswith("seed: ")
    assert "; evaluate: must be a mapping of split, " in said
