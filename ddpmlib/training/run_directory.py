"""The run directory and its mirror in a bucket: checkpoint, metrics, samples."""

import contextlib
import csv
import filecmp
import json
import math
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM, GUIDING_MODEL, WEIGHTS
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.google_cloud import BucketError, BucketUnreachable, canonical, is_bucket, split
from ddpmlib.storage.paths import bucket_path, data_folder, download, fetch, publish
from ddpmlib.training import step_schedule
from ddpmlib.training.checkpoint import CHECKPOINT, TrainState, read_checkpoint
from ddpmlib.training.config import TrainConfig
from ddpmlib.vocoder.waveform import image_to_audio

BEFORE_DECAY = "before_decay.pt"  # the checkpoint from before the learning rate fell
KEPT = "kept.safetensors"  # the weights of a run from before it was made longer
METRICS = "metrics.csv"
COLUMNS = ("epoch", "step", "minutes", "train_loss", "validation_loss", "mels_per_second")
RENAMED = {"pictures_per_second": "mels_per_second"}  # old column -> new
GUIDING_MODEL_SHARE = 0.05  # of the run, after which the weights become its guiding model


def run_locations(run_folder: str | Path, config: TrainConfig) -> tuple[Path, str]:
    """Local folder of a run, and the gs:// folder that mirrors it ("" for none).

    A run works on a local disk: for gs://bucket/name that is `data/runs/bucket/name`.
    """
    if is_bucket(run_folder):
        return data_folder().joinpath("runs", *split(run_folder)), canonical(run_folder)
    bucket = config.result_bucket
    return Path(run_folder), bucket_path(bucket, config.name) if bucket else ""


def last_checkpoint(state: TrainState, folder: Path, mirror: str, resume: bool) -> dict | None:
    """The content to resume from, None for a new run; downloads the run if its mirror is ahead.

    Raises:
        FileExistsError: there is a checkpoint, but resume is False.
        ValueError: it is damaged, or made with other data or settings; names both values.
    """
    found = {}
    for place in filter(None, (str(folder), mirror)):
        if not (path := _file_in(place, CHECKPOINT)):
            continue
        if not resume:
            raise FileExistsError(
                f"{place} holds a run; set resume to go on with it, or give another name"
            )
        found[place] = read_checkpoint(path, f"{place}/{CHECKPOINT}")
        if earlier := state.go_on_as_begun(found[place]):
            print(f"{place} goes on as it was begun: {earlier}", flush=True)
        state.check(found[place], f"{place}/{CHECKPOINT}")
    if not found:
        return None
    ahead = max(found, key=lambda place: found[place]["counters"]["step"])  # a tie: the local one
    if ahead == mirror:
        download(mirror, folder)
    return _made_longer(state, found[ahead], folder)


def _made_longer(state: TrainState, content: dict, folder: Path) -> dict:
    """Where a run goes on that was made longer after its learning rate had begun to fall: from
    BEFORE_DECAY, as one run of that length does. Says so, and keeps its weights.

    Args:
        content: of the last checkpoint; returned if the learning rate does not rise again.
    """
    counters, limits = content["counters"], ("epochs", "max_minutes")
    earlier = replace(state.config, **{name: content["config"][name] for name in limits})
    epochs = counters["epoch"] + counters["batch"] / state.steps_per_epoch
    fallen, now = (
        step_schedule.decay(step_schedule.done(config, epochs, counters["seconds"]))
        for config in (earlier, state.config)
    )
    if now <= fallen:
        return content
    if (weights := folder / WEIGHTS).exists():  # people tidy up
        with atomic_write(folder / KEPT) as temporary:
            shutil.copyfile(weights, temporary)
    last = counters["step"]
    how = f"the learning rate rises {now / fallen:.1f}-fold again, and one new run may end better"
    if (path := folder / BEFORE_DECAY).exists():
        state.check(content := read_checkpoint(path), path)
        first = content["counters"]["step"]
        how = f"it goes on from step {first}, before the learning rate fell, as one run would"
    print(
        f"{folder.name} is made longer than its {last} steps: {how}; {WEIGHTS} stays as it is "
        f"until better weights are there, and {KEPT} for good",
        flush=True,
    )
    return content


def keep_weights(state: TrainState, validation: SpectrogramSet, folder: Path) -> None:
    """Let the weights of a run that was made longer stay where they are until better ones come, or
    the end of the run."""
    kept, weights = folder / KEPT, folder / WEIGHTS
    if kept.exists() and weights.exists() and filecmp.cmp(kept, weights, shallow=False):
        device = str(next(state.model.network.parameters()).device)
        model = replace(state.model, network=DDPM.load(kept, device).network)
        loss = model.loss_on(validation, state.config.batch_size)
        state.loss_to_beat = -math.inf if loss is None else loss


def open_run(state: TrainState, folder: Path, mirror: str) -> None:
    """Create a run's folder and config.json; cut metrics.csv where the state goes on."""
    make_folder(folder)
    for name in (
        CHECKPOINT,
        BEFORE_DECAY,
        WEIGHTS,
        KEPT,
        GUIDING_MODEL,
    ):  # half-written by a killed process
        for left_over in folder.glob(f".{name}.*"):
            left_over.unlink()
    _write_metrics(folder, [row for row in read_metrics(folder) if row["step"] <= state.step])
    description = state.config.to_dict() | {
        "params": state.model.params.to_dict(),
        "unet": state.model.network.config.to_dict(),
        "torch": torch.__version__,
    }
    with atomic_write(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(description, indent=1), "utf-8")
    publish_run(folder, mirror)


def publish_run(folder: Path, mirror: str, can_wait: bool = False) -> None:
    """Upload what is new in a run's folder to its mirror, if it has one.

    Args:
        can_wait: a later call makes up for this one, so an unreachable bucket is only a warning.

    Raises:
        BucketError: refused, or not reached; says that the local folder is safe.
    """
    try:
        if mirror:
            publish(folder, mirror)
    except BucketError as error:
        if not (can_wait and isinstance(error, BucketUnreachable)):
            raise type(error)(f"{error}; the run is safe in {folder}") from None
        warnings.warn(f"{error}; training goes on, a later upload makes up", stacklevel=2)


def keep_before_decay(state: TrainState, folder: Path) -> None:
    """Save the checkpoint from which a run goes on that is made longer. What follows does not need
    it: that the disk is full is left to the next checkpoint to say."""
    with contextlib.suppress(OSError):
        state.write(folder / BEFORE_DECAY)


def keep_guiding_model(model: DDPM, folder: Path, share: float) -> None:
    """Save the weights of a young run, once, as guiding model of the later ones: see
    `guidance.guided`. A model of classes, vectors or texts is guided by its null condition and
    needs none; one of phones is also sampled without a condition. A student needs no guidance.

    Args:
        share: of the run that is done, 0...1.
    """
    path = folder / GUIDING_MODEL
    young = GUIDING_MODEL_SHARE <= share < 1
    guided = (model.condition_spec is None or model.has_phones) and not model.is_student
    if guided and young and not path.exists():
        model.save(path)


def append_metrics(folder: Path, row: dict) -> None:
    """Add one epoch to metrics.csv, in place of the row that max_minutes left in its middle."""
    rows = [earlier for earlier in read_metrics(folder) if earlier["epoch"] != row["epoch"]]
    _write_metrics(folder, [*rows, row])


def read_metrics(folder: str | Path) -> list[dict]:
    """Rows of metrics.csv as numbers; an empty validation loss is None."""

    def number(name: str, text: str) -> float | None:
        return None if not text else int(text) if name in ("epoch", "step") else float(text)

    if not (path := _file_in(folder, METRICS)):
        return []
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{RENAMED.get(name, name): number(name, row[name]) for name in row} for row in rows]


def write_samples(
    model: DDPM, config: TrainConfig, folder: Path, epoch: int, held_out: SpectrogramSet
) -> tuple[Path, ...]:
    """Write `folder/samples/epoch_NNNN_I.png` and `.wav`, from the same noise every time, with the
    conditions of `sample_conditions`."""
    make_folder(folder / "samples")
    if files := sample_files(config, folder, epoch):
        mels = model.sample(
            config.num_samples,
            seed=config.seed,
            guidance_scale=1,
            condition=sample_conditions(held_out, config.num_samples),
        )
        for mel, png, wav in zip(mels, files[::2], files[1::2], strict=True):
            save_png(png, mel)
            save_wav(wav, image_to_audio(mel, model.params), model.params.sample_rate)
    return files


def sample_conditions(held_out: SpectrogramSet, count: int) -> torch.Tensor | None:
    """Conditions of a training's samples (count, ...): those of held-out mel-spectrograms, evenly
    spread over them; None where there are none."""
    if held_out.condition_spec is None or not len(held_out):
        return None
    return held_out.conditions(np.linspace(0, len(held_out) - 1, count).astype(int))


def sample_files(config: TrainConfig, folder: Path, epoch: int) -> tuple[Path, ...]:
    """Paths of an epoch's samples: PNG, wav, PNG, wav ..."""
    stems = [f"epoch_{epoch:04d}_{i}" for i in range(config.num_samples)]
    return tuple(folder / "samples" / f"{stem}{end}" for stem in stems for end in (".png", ".wav"))


def _file_in(folder: str | Path, name: str) -> Path | None:
    """A file of a run's folder or mirror, on this disk; None if it is not there."""
    if not is_bucket(folder):
        return path if (path := Path(folder, name)).exists() else None
    try:
        return fetch(f"{canonical(folder)}/{name}")
    except FileNotFoundError:
        return None


def _write_metrics(folder: Path, rows: list[dict]) -> None:
    with atomic_write(folder / METRICS) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
