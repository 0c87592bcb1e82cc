"""`python version_jobs.py JOB OPTIONS`: does a job of whichever `ddpmlib` is on the path, once for
each line that comes in, and prints seconds and gigabytes; see `versions`."""

import json
import sys
import tempfile
import time
from collections.abc import Callable

from ddpmlib.models.profile import peak_gigabytes

COUNT, MELS = 16, 480
OPTIONS = json.loads(sys.argv[2]) if __name__ == "__main__" else {}  # of the sampling
PRECISION = OPTIONS.pop("precision", "auto")


def noise_to_wav() -> Callable[[], object]:
    """COUNT samples of the shipped weights, and the vocoder."""
    from ddpmlib.diffusion.ddpm import DDPM

    options = dict(OPTIONS)
    model = DDPM.load(options.pop("run", "pretrained"))
    for part in filter(None, (model, model.guiding_model)):
        part.precision = PRECISION
    return lambda: to_audio(model.sample(COUNT, seed=1, **options), model.params)


def vocoder() -> Callable[[], object]:
    """COUNT mel-spectrograms of sentences -> waveforms."""
    from ddpmlib.audio.recording import find_audio, load_audio
    from ddpmlib.spectrogram.mel import audio_to_image
    from ddpmlib.spectrogram.params import DEFAULT
    from ddpmlib.storage.paths import data_folder

    files, rate = find_audio(data_folder() / "sample_corpus")[:COUNT], DEFAULT.sample_rate
    samples = int(DEFAULT.seconds * rate)
    sounds = [load_audio(file, rate).samples[:samples] for file in files]
    mels = [audio_to_image(sound, DEFAULT) for sound in sounds]
    return lambda: to_audio(mels, DEFAULT)


def to_audio(mels, params) -> list:
    """As this version does it: several at once, or one after the other."""
    from ddpmlib.vocoder import waveform

    if hasattr(waveform, "images_to_audio"):
        return waveform.images_to_audio(mels, params)
    return [waveform.image_to_audio(mel, params) for mel in mels]


def training() -> Callable[[], object]:
    """Some MELS mel-spectrograms in steps of the default size, by the default network."""
    from ddpmlib.data.build import build_dataset
    from ddpmlib.data.dataset import open_splits
    from ddpmlib.data.preparation import Preparation
    from ddpmlib.storage.paths import data_folder
    from ddpmlib.training.config import TrainConfig
    from ddpmlib.training.loop import train

    name = "benchmark_of_versions"
    build_dataset(data_folder() / "sample_corpus", name, Preparation(join=True))
    data, held_out = open_splits(f"{name}.npy")
    config = TrainConfig(epochs=round(MELS / len(data)), num_samples=0, precision=PRECISION)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(config, data, held_out, folder)

    return work


if __name__ == "__main__":
    job = {"noise to wav": noise_to_wav, "vocoder": vocoder, "training": training}[sys.argv[1]]()
    for _ in sys.stdin:
        start = time.perf_counter()
        job()
        print(json.dumps([time.perf_counter() - start, peak_gigabytes()]), flush=True)
