"""What happens around the steps: seeds, validation, progress."""

from __future__ import annotations

import itertools
import math
import operator
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from arbiscale.config.sizes import Size, size_name
from arbiscale.progress import LongTask
from arbiscale.training.averaging import WeightAveraging
from arbiscale.training.module import Recorder, Validation, derive_seed, parameters_of
from arbiscale.training.step_callback import StepCallback, is_due


class StepSeeds(Callback):
    """Seeds every step by its batch's number, so that a resumed training draws what it would have drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Seed all global generators."""
        batch = pl_module.batch_of(trainer.global_step)
        torch.manual_seed(derive_seed(self.seed, pl_module.name, batch))


class Validations(StepCallback):
    """Validates on all held-out crops with averaged weights; records means, and pictures of some.

    These are of the first batch; where crops are of several sizes, of the first batch of each.

    The first pictures are those before the first step, where MLflow's slider over steps begins. Several
    processes divide the batches among them.
    """

    def __init__(
        self,
        batches: Iterable[Tensor],
        averaging: WeightAveraging,
        recorder: Recorder,
        every_steps: int,
        seed: int,
    ) -> None:
        self.batches = batches
        self.averaging = averaging
        self.recorder = recorder
        self.every_steps = every_steps
        self.seed = seed
        self.best: float | None = None  # the higher, the better
        self.best_step: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Record what is drawn before the first step."""
        super().on_train_start(trainer)
        if trainer.global_step == 0 and trainer.global_rank == 0:
            with self._validating(pl_module):
                self._record(self._of_batch(pl_module, 0, next(iter(self.batches))).images, step=0)

    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """Validate after every so many steps and after the last."""
        if not is_due(trainer, self.every_steps):
            return
        step = trainer.global_step
        with self._validating(pl_module):
            result = self._validate(trainer, pl_module)
        self.recorder.log_metrics(
            {f"validation/{name}": value for name, value in result.metrics.items()}, step
        )
        self._record(result.images, step)
        figure = result.figure
        if figure is not None and math.isfinite(figure) and (self.best is None or figure > self.best):
            self.best, self.best_step = figure, step

    @contextmanager
    def _validating(self, module: Any) -> Iterator[None]:
        module.eval()
        with torch.no_grad(), self.averaging.averaged():
            yield
        module.train()

    def _of_batch(self, module: Any, number: int, images: Tensor, first: int = 0) -> Validation:
        torch.manual_seed(derive_seed(self.seed, "validation", number))
        module.samples = [f"validation/{sample}" for sample in range(first, first + len(images))]
        result: Validation = module.validate(images.to(module.device))
        return result

    def _record(self, images: Mapping[str, np.ndarray], step: int) -> None:
        for name, image in images.items():
            self.recorder.log_image(f"validation/{name}", image, step)

    def _validate(self, trainer: Trainer, module: Any) -> Validation:
        """The means over all crops, the same in every process; pictures in the first alone."""
        parts: list[tuple[int, int, Validation]] = []
        pictures: dict[str, np.ndarray] = {}
        end, sizes = 0, set[Size]()
        for number, images in enumerate(self.batches):
            first, end = end, end + len(images)
            if number % trainer.world_size == trainer.global_rank:
                part = self._of_batch(module, number, images, first)
                parts.append((number, len(images), part))
                size = (images.shape[-2], images.shape[-1])
                if trainer.global_rank == 0 and size not in sizes:
                    ending = f"_{size_name(size)}" if sizes else ""
                    pictures |= {f"{name}{ending}": image for name, image in part.images.items()}
                    sizes.add(size)
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            own = [(number, count, Validation(part.metrics)) for number, count, part in parts]
            torch.distributed.all_gather_object(gathered, own)
            parts = sorted(itertools.chain(*gathered), key=operator.itemgetter(0))
        counts = [count for _, count, _ in parts]
        means = {
            name: float(np.average([part.metrics[name] for *_, part in parts], weights=counts))
            for name in parts[0][2].metrics
        }
        return Validation(means, pictures)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints: what later validations are held against."""
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]


class Curves(StepCallback):
    """Records losses, rates and the health of a step at intervals, before the step's state is written."""

    def __init__(self, recorder: Recorder, averaging: WeightAveraging, every_steps: int) -> None:
        self.recorder = recorder
        self.averaging = averaging
        self.every_steps = every_steps

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Start the clock."""
        super().on_train_start(trainer)
        self._before: list[Tensor] = []
        self._begun = self._idle_since = time.monotonic()
        self._waited = 0.0

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        """A batch has come."""
        self._waited += time.monotonic() - self._idle_since

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Keep the weights where the step's change of them will be recorded."""
        if (trainer.global_step + 1) % self.every_steps == 0:
            self._before = [each.detach().clone() for each in parameters_of(optimizer)]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any, **__: Any) -> None:
        """From here on the training waits for the next batch."""
        super().on_train_batch_end(trainer, pl_module, outputs)
        self._idle_since = time.monotonic()

    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """Record under the number of the step, from 0 on."""
        if trainer.global_step % self.every_steps:
            return
        now = time.monotonic()
        waited = self._waited / max(1e-9, now - self._begun)  # share of the time
        self._begun, self._waited = now, 0.0
        (optimizer,) = trainer.optimizers
        names = pl_module.learning().keys()
        rates = {f"lr/{name}": group["lr"] for name, group in zip(names, optimizer.param_groups, strict=True)}
        values = {name: float(value) for name, value in pl_module.step_values.items()}
        values["optimization/average_distance"] = self.averaging.distance()
        values["optimization/update_to_weight"] = self._update_to_weight(optimizer)
        self.recorder.log_metrics(values | rates, trainer.global_step - 1)
        self.recorder.log_metrics({"throughput/data_wait": waited}, trainer.global_step - 1)

    def _update_to_weight(self, optimizer: torch.optim.Optimizer) -> float:
        """The norm of the step's change of all weights, as a share of theirs."""
        weights = [each.detach() for each in parameters_of(optimizer)]
        change = torch.nn.utils.get_total_norm(torch._foreach_sub(weights, self._before))
        self._before = []
        return float(change / torch.nn.utils.get_total_norm(weights))


_LOSS_STEPS = 10  # between readings of the loss, which wait for the accelerator


class StepProgress(StepCallback):
    """Shows steps done, the loss, steps a second and the time left; measures throughput."""

    def __init__(self, name: str, batch_size: int, recorder: Recorder, log_every_steps: int) -> None:
        self.name = name
        self.batch_size = batch_size
        self.recorder = recorder
        self.log_every_steps = log_every_steps
        self._task: LongTask | None = None

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Start the clock at the first step of this process (after a resume: not at zero)."""
        super().on_train_start(trainer)
        self._loss = ""
        self._task = LongTask(self.name, trainer.max_steps, "steps", done=trainer.global_step)

    def on_step_end(self, trainer: Trainer, pl_module: Any, outputs: Any) -> None:
        """Advance the progress bar."""
        assert self._task is not None
        step = trainer.global_step
        if is_due(trainer, _LOSS_STEPS):
            self._loss = f"loss {float(pl_module.step_values['train/loss']):.4f}"  # of the whole batch
        self._task.advance(step - self._task.done, self._loss)
        if step % self.log_every_steps == 0:
            images_per_second = self._task.rate * self.batch_size
            self.recorder.log_metrics({"throughput/images_per_second": images_per_second}, step)

    def teardown(self, *_: Any, **__: Any) -> None:
        """End the progress bar, also after a failure."""
        if self._task is not None:
            self._task.stop()
