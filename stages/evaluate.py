"""Stage: measure every model on held-out photographs, and show what they draw."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch

from arbiscale.config.evaluate import EvaluateSettings, by_name
from arbiscale.config.section import flatten, read_yaml
from arbiscale.data.manifest import read_manifest
from arbiscale.data.shards import StoredCrops
from arbiscale.evaluation.intervals import intervals
from arbiscale.evaluation.networks import load_metric_networks
from arbiscale.evaluation.suite import evaluate_models
from arbiscale.evaluation.summary import summary
from arbiscale.files import atomic_folder, write_json
from arbiscale.imaging.picture_files import read_image, write_image
from arbiscale.inference.loading import load_model
from arbiscale.metrics.cost import peak_memory_mib
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.report.document import write_page
from arbiscale.report.facts import Facts, read_records, read_training
from arbiscale.report.sheets import draw_contact_sheet
from arbiscale.report.tables import as_text, flat_metrics, write_intervals, write_plots, write_scores
from arbiscale.tracking.address import shown
from arbiscale.tracking.environment import accelerator
from arbiscale.tracking.recorded_run import read_run

CROPS = Path("data/crops")
MODELS = Path("models")
RUNS = Path("runs")
NAMES = ("autoencoder", "diffusion", "align_timesteps", "align_samples")
BEFORE = ("download", "crop", *NAMES)
SUMMARY, PLOTS, REPORTS = Path("metrics/summary.json"), Path("plots"), Path("reports")


def main(stage: Stage) -> None:
    """Write metrics/summary.json, plots/ and reports/ from the models and the test photographs."""
    begun = time.monotonic()
    settings = stage.settings("evaluate", EvaluateSettings)
    if stage.runtime.threads:
        torch.set_num_threads(stage.runtime.threads)
    stage.run.log_params(_parameters(stage.params_path))
    manifest = read_manifest(CROPS)
    photographs = {Path(each.file).stem: read_image(CROPS / each.file) for each in manifest.photographs}
    models = {
        name: load_model(MODELS / name, stage.runtime.device, sampling=settings.sampling) for name in NAMES
    }
    extra = {
        name: load_model(where, stage.runtime.device)
        for name, where in by_name(settings.extra_models).items()
    }
    device = models["autoencoder"].device
    networks = load_metric_networks(
        settings.perceptual,
        stage.runtime.weights_dir,
        device,
        inception="generation" in settings.protocols,
    )
    _warn(networks.unavailable)
    stage.run.set_tags(dict.fromkeys(networks.left_out, "missing"))

    evaluation = evaluate_models(
        models,
        photographs,
        settings,
        seed=stage.seed,
        networks=networks,
        extra=extra,
        training_crops=StoredCrops(CROPS, manifest, "train"),
        workers=stage.runtime.workers,
    )
    means = evaluation.means()
    print(as_text(means))
    _warn(problem for problem in evaluation.problems() if problem not in networks.unavailable)

    memory = {"peak_memory_mib": peak_memory_mib(device)}
    write_json(SUMMARY, summary(means, NAMES[-1]))
    with atomic_folder(PLOTS) as folder:
        write_plots(folder, means)
    credits = {
        Path(each.file).stem: manifest.credits[each.source]
        for each in manifest.photographs
        if each.source in manifest.credits
    }
    found = [*intervals(evaluation, stage.seed)]
    with atomic_folder(REPORTS) as folder:
        write_json(folder / "evaluate.json", means | memory)
        write_scores(folder / "scores.csv", evaluation)
        write_intervals(folder / "intervals.csv", found)
        for group, comparisons in evaluation.comparisons.items():
            named = [each.title for each in comparisons if each.title in credits]
            sheet = draw_contact_sheet(group, comparisons, [f"{name}: {credits[name]}" for name in named])
            write_image(folder / "sheets" / f"{group}.png", sheet)
            stage.run.log_image(f"sheets/{group}", sheet)
        facts = _facts(stage, credits, accelerator() or str(device), time.monotonic() - begun)
        write_page(folder / "evaluate.html", evaluation, found, facts, NAMES[-1])
    stage.run.log_metrics(flat_metrics(means) | memory)
    stage.run.log_artifact(REPORTS)


def _parameters(path: Path) -> dict[str, object]:
    """All of params.yaml, without the password that the store's address may hold."""
    parameters = flatten(read_yaml(path))
    return {key: shown(value) if isinstance(value, str) else value for key, value in parameters.items()}


def _warn(problems: Iterable[str]) -> None:
    """Say what is missing from the table."""
    for problem in problems:
        print(f"WARNING: {problem}", file=sys.stderr)


def _facts(stage: Stage, credits: Mapping[str, str], device: str, seconds: float) -> Facts:
    """Where the numbers come from."""
    own = read_run(stage.store, stage.run.id)
    before = read_records(RUNS, BEFORE)
    return Facts(
        run_id=stage.run.id,
        tags=own.tags if own else {},
        seed=stage.seed,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        device=device,
        seconds=seconds,
        upstream=before,
        trainings=[read_training(record, stage.store) for record in before if record.stage in NAMES],
        parameters=_parameters(stage.params_path),
        credits=credits,
    )


if __name__ == "__main__":
    run_stage("evaluate", main, upstream=["crop", *NAMES])
