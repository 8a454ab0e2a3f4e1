"""Stage: pack the finished model and make it the challenger in the model registry."""

from __future__ import annotations

from pathlib import Path

from arbiscale.config.baselines import BaselinesSettings
from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.register import RegisterSettings
from arbiscale.inference import serving
from arbiscale.models.folder import load_latent_diffusion, read_config, save_latent_diffusion
from arbiscale.pipeline.card import write_card
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.tracking.registry import CARD_TAG, EVALUATION_TAG, ROW_TAG, link_figures, register
from arbiscale.tracking.versions import find_version

MODEL, BASELINES = Path("models/align_samples"), Path("models/baselines")
PACKED = Path("models/packed")


def main(stage: Stage) -> None:
    """Give the model its defaults, write it as one folder and register that; then the baselines."""
    settings = stage.settings("register", RegisterSettings)
    measured = stage.settings("evaluate", EvaluateSettings)
    defaults = {
        "sampling": measured.sampling,
        "temperature": measured.temperature,
        "fidelity": measured.fidelity,
    }
    config = read_config(MODEL).model_copy(update=defaults)
    save_latent_diffusion(PACKED, config, load_latent_diffusion(MODEL))
    stage.note_model(PACKED)
    known = {"git_commit": "git_commit", EVALUATION_TAG: "upstream.evaluate"}
    tags = {tag: stage.tags[name] for tag, name in known.items() if name in stage.tags}
    tags["fingerprint"] = stage.fingerprint
    training = stage.tags.get(f"upstream.{MODEL.name}")
    trained = stage.store.find(training) if training else None
    if trained:
        tags |= {tag: trained.data.tags[tag] for tag in (CARD_TAG, "data_hash") if tag in trained.data.tags}

    def make_version(folder: Path, name: str, row: str) -> int:
        own = {**tags, ROW_TAG: row}
        number = register(stage.store, folder, name, serving, tags=own, run_id=stage.run.id)
        write_card(stage.store, name, number, folder)
        version = find_version(stage.store, name, str(number))
        if version is not None:
            link_figures(stage.run, version)
        print(f"{name} version {number} registered: it is the challenger now")
        return number

    version = make_version(PACKED, settings.model_name, MODEL.name)
    stage.run.set_tags({"model_name": settings.model_name, "model_version": str(version)})
    for baseline in stage.settings("baselines", BaselinesSettings).train:
        name = f"{settings.model_name}-{baseline}"
        version = make_version(BASELINES / baseline, name, baseline)
        stage.run.set_tags({f"{baseline}.model_name": name, f"{baseline}.model_version": str(version)})


if __name__ == "__main__":
    run_stage("register", main, upstream=["align_samples", "evaluate"])
