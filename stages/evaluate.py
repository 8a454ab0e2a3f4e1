"""Stage: measure every model on held-out photographs, and show what they draw."""

import time
from pathlib import Path
from typing import get_args

from arbiscale.config.baselines import BaselineName, BaselinesSettings
from arbiscale.config.data import DataSettings
from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.config.named import by_name
from arbiscale.data.degradation import Degradation
from arbiscale.evaluation.held_out import read_held_out_data
from arbiscale.evaluation.networks import load_metric_networks
from arbiscale.evaluation.peers import identity_of, load_row
from arbiscale.evaluation.plan import Subject, make_plan, metrics_of_sets
from arbiscale.evaluation.store import Scratch, measure
from arbiscale.evaluation.suite import finish
from arbiscale.evaluation.summary import summary
from arbiscale.evaluation.super_resolution import BASELINE
from arbiscale.files import sha256_of_json, write_json
from arbiscale.inference.loading import load_model
from arbiscale.metrics.cost import peak_memory_mib
from arbiscale.models.device import use_threads, worker_count
from arbiscale.pipeline.crew import join_crew
from arbiscale.pipeline.gains import gains_by_group, gains_lines
from arbiscale.pipeline.stage import Stage, run_stage
from arbiscale.report.facts import collect_facts, read_parameters
from arbiscale.report.files import as_text, flat_metrics, flat_trade_off, print_warnings, write_report

CROPS, MODELS, BASELINES = Path("data/crops"), Path("models"), Path("models/baselines")
SUMMARY, PLOTS, REPORTS = Path("metrics/summary.json"), Path("plots"), Path("reports")
NAMES = ("autoencoder", "diffusion", "align_timesteps", "align_samples")


def main(stage: Stage) -> None:
    """Write metrics/summary.json, plots/ and reports/ from the models and the held-out photographs.

    Of several processes that torchrun has started, each measures a share; the first alone writes.
    """
    begun, runtime, run = time.monotonic(), stage.runtime, stage.run
    settings = stage.settings("evaluate", EvaluateSettings)
    parameters = read_parameters(stage.params_path)
    run.log_params(parameters)
    use_threads(runtime.threads)
    crew = join_crew()
    where = crew.device(runtime.device)
    data = read_held_out_data(CROPS, settings.split)
    models = {name: load_model(MODELS / name, where, sampling=settings.sampling) for name in NAMES}
    for model in models.values():
        model.temperature = settings.temperature
        model.fidelity = settings.fidelity if model.has_branch else 0.0
    baselines = stage.settings("baselines", BaselinesSettings).train
    further = {name: BASELINES / name for name in baselines} | by_name(settings.extra_models)
    extra = {name: load_row(at, where, settings.fidelity) for name, at in further.items()}
    device = models[NAMES[0]].device
    workers = worker_count(runtime.workers, device)
    networks = load_metric_networks(
        settings.perceptual,
        runtime.weights_dir,
        device,
        no_reference=settings.no_reference,
        sets=metrics_of_sets(settings),
    )
    print_warnings(networks.unavailable)
    run.set_tags(dict.fromkeys(networks.left_out, "missing") | data.splits)

    degradation = Degradation(stage.settings("data", DataSettings).realistic, stage.seed)
    subject = Subject(models, data, settings, stage.seed, networks, extra, workers, degradation)
    identities = {name: identity_of(each) for name, each in extra.items()}
    made_of = {"code": stage.inputs.code, "extra": identities, "device": device.type}
    scratch = Scratch(stage.scratch / sha256_of_json(made_of)[:16], crew.rank)
    plan = make_plan(subject, scratch)
    measure(plan.works, scratch, crew.count)
    crew.wait()
    if crew.rank:
        return
    evaluation = finish(plan, scratch)
    means, memory, last = evaluation.means(), {"peak_memory_mib": peak_memory_mib(device)}, NAMES[-1]
    trainings = (*NAMES, *baselines)
    print(as_text(means))
    of_row = dict([*evaluation.scores.groupby("row")])
    for name in (BASELINE, *extra):
        if name in of_row and last in of_row:
            for group, gains in gains_by_group(of_row[name], of_row[last]):
                print("\n".join(gains_lines(f"{last} against {name}, {group}", gains, name, last)))
    print(f"chosen on: {data.splits['chosen_on']}\nreported on: {data.splits['reported_on']}")
    print_warnings(problem for problem in evaluation.problems() if problem not in networks.unavailable)

    facts = collect_facts(stage.store, run.id, trainings, parameters, stage.seed, device, begun, data.credits)
    write_json(SUMMARY, summary(means, last))
    sheets = write_report(REPORTS, PLOTS, evaluation, facts, last, memory)
    for group, sheet in sheets.items():
        run.log_image(f"sheets/{group}", sheet)
    run.log_metrics(flat_metrics(means) | flat_trade_off(evaluation.trade_off) | memory)
    run.log_artifact(REPORTS)


if __name__ == "__main__":
    run_stage("evaluate", main, upstream=["crop", *NAMES, *get_args(BaselineName)])
