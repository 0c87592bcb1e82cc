"""Text to speech: sentences, their phones in time, their mel-spectrograms, their sound.

`model` is a DDPM that is conditioned on phones.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.diffusion.editing import Edit, replace_frames
from ddpmlib.diffusion.samplers import Callback
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.parameters import MAX_SEED, check_seed
from ddpmlib.storage.paths import fetch
from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.frames import frames_of, phone_frames
from ddpmlib.text.normalisation import BREAKS, sentences, spoken_words
from ddpmlib.text.pronunciation import PHONES, Lexicon
from ddpmlib.text.utterance import part_of, replaced, timed
from ddpmlib.vocoder.waveform import image_to_audio

SPEAKING = "pretrained/sample_voice"  # the weights that say a text where none are given
TEXTS = "texts.csv"


@dataclass(frozen=True)
class Speech:
    """A text as a model says it."""

    text: str
    mel: np.ndarray  # (1, n_mels, n_frames) in [-1, 1]
    audio: np.ndarray  # (samples,) at the sample rate of the model
    alignments: tuple[Alignment, ...]  # of its sentences, each from its own beginning


def say(
    model,
    texts: str | Sequence[str],
    seed: int = 0,
    speed: float = 1.0,
    guidance_scale: float | None = None,
    num_steps: int | None = None,
    sampler: str | None = None,
    time_grid: str | None = None,
    lexicon: Lexicon | None = None,
    callback: Callback | None = None,
) -> list[Speech]:
    """Say texts, each as long as it takes; nothing is sampled before all of them are understood.

    Every sentence is sampled alone, with a pause of its own at both ends, and joined to the one
    before. Sentence i of a text depends on `seed` and i alone.

    Args:
        texts: one or several.
        speed: times as fast as the speaker of the training data.
        guidance_scale, num_steps, sampler, time_grid: as of `DDPM.sample`.
        lexicon: pronunciations; by default the dictionary, and rules for unknown words.
        callback: see `samplers.Callback`; called for every sentence.

    Raises:
        ValueError: nothing to say in a text, a word without a pronunciation, speed out of range, or
            a model that is not conditioned on the phones of English.
    """
    check_seed(seed)
    texts = [texts] if isinstance(texts, str) else list(texts)
    planned = [plan(model, text, speed, lexicon) for text in texts]
    how = {"sampler": sampler, "num_steps": num_steps, "time_grid": time_grid}
    how["guidance_scale"] = guidance_scale
    spoken = []
    for text, alignments in zip(texts, planned, strict=True):
        mels = [
            model.sample(
                1,
                seed=(seed + i) % (MAX_SEED + 1),
                condition=condition_of(alignment, model),
                callback=callback,
                **how,
            )[0]
            for i, alignment in enumerate(alignments)
        ]
        mel = np.concatenate(mels, axis=-1)
        spoken.append(Speech(text, mel, image_to_audio(mel, model.params), alignments))
    return spoken


def plan(
    model, text: str, speed: float = 1.0, lexicon: Lexicon | None = None
) -> tuple[Alignment, ...]:
    """When the words and phones of each sentence of a text are due; raises as `say`."""
    check_speaks(model)
    predictor, lexicon = model.network.condition.durations, lexicon or Lexicon()
    words = [spoken_words(sentence) for sentence in sentences(text)]
    return tuple(timed(each, predictor, lexicon, speed) for each in words)


def condition_of(alignment: Alignment, model) -> torch.Tensor:
    """The condition (1, n_frames, FEATURES) of phones in time; as many frames as halve well.

    The last phone, a pause, lasts to the end: what follows none was never trained in joined data.
    """
    spec, params = model.condition_spec, model.params
    *phones, last = alignment.phones
    frames = frames_of(last.end, params, model.network.config.factor)
    last = replace(last, end=max(last.end, frames * params.hop_length / params.sample_rate))
    return torch.from_numpy(phone_frames([*phones, last], spec.names, frames, params))[None]


def mean_mel(model, condition: torch.Tensor) -> np.ndarray:
    """What the phones alone let expect, without diffusion: (count, 1, n_mels, n_frames)."""
    check_speaks(model)
    with torch.inference_mode():
        _, (_, mean) = model.network.condition(condition.to(next(model.network.parameters())))
    return mean.clamp(-1, 1).float().numpy(force=True)


def check_speaks(model) -> None:
    """Raise ValueError unless a model is conditioned on the phones of English."""
    spec = model.condition_spec
    if not model.has_phones:
        have = spec.kind if spec else "none"
        raise ValueError(f"condition of the model is {have}; needed: phones, to say a text")
    if missing := sorted(set(PHONES) - set(spec.names)):
        have = " ".join(spec.names)
        raise ValueError(f"phones of the model are {have}; needed: those of English, {missing[0]}")


def save_speech(path: str | Path, speech: Speech, model) -> Path:
    """Write a wav file."""
    path = Path(path)
    make_folder(path.parent)
    save_wav(path, speech.audio, model.params.sample_rate)
    return path


def say_file(model, file: str | Path, folder: str | Path, **how) -> list[Path]:
    """Say each line of a text file: NNN.wav in a folder, and texts.csv with what they say.

    Sounds that an earlier texts.csv lists and this one does not are removed.

    Args:
        how: see `say`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as `say`, naming the line; nothing is written then.
    """
    from tqdm import tqdm

    lines = fetch(file).read_text("utf-8-sig").splitlines()
    texts = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    if not texts:
        raise ValueError(f"{file} has {len(lines)} lines and no text; needed: at least 1")
    for number, text in texts.items():
        try:
            plan(model, text, how.get("speed", 1.0), how.get("lexicon"))
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from None
    paths, folder = [], make_folder(Path(folder))
    for number, text in tqdm(texts.items(), desc="saying", unit="text"):
        path = folder / f"{number:03d}.wav"
        paths.append(save_speech(path, say(model, text, **how)[0], model))
    for old in _listed(folder / TEXTS) - {path.name for path in paths}:
        (folder / old).unlink(missing_ok=True)
    with atomic_write(folder / TEXTS) as new, new.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        rows = zip((path.name for path in paths), texts.values(), strict=True)
        writer.writerows([("file", "text"), *rows])
    return paths


def _listed(path: Path) -> set[str]:
    """Names NNN.wav in a list of `say_file`."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {found[0] for line in lines if (found := re.match(r"\d{3,}\.wav(?=,)", line))}


def replace_word(
    model,
    mel: np.ndarray,
    alignment: Alignment,
    index: int,
    text: str,
    lexicon: Lexicon | None = None,
) -> tuple[Edit, torch.Tensor]:
    """Another word, or several, in place of one of a recording: `edit` and `condition` of a sample.

    The new phones are as long as predicted in this sentence, at the pace of its other words.

    Args:
        mel: (n_mels, n_frames) of the recording.
        alignment: of it.
        index: of the word to be replaced.

    Raises:
        ValueError: as `say`, or there is no such word.
    """
    check_speaks(model)
    if not 0 <= index < len(alignment.words):
        raise ValueError(f"index is {index}; needed: 0 to {len(alignment.words) - 1}, of a word")
    new = [word for word in spoken_words(text) if word not in BREAKS]
    before, after = ([w.name for w in part] for part in _around(alignment.words, index))
    predictor = model.network.condition.durations
    whole = timed([*before, *new, *after], predictor, lexicon or Lexicon())
    behind = index + len(new)
    others = sum(map(len, _around(alignment.words, index))) > 0
    own = sum(word.seconds for part in _around(alignment.words, index) for word in part)
    usual = sum(w.seconds for i, w in enumerate(whole.words) if not index <= i < behind)
    word = part_of(whole, index, behind, own / usual if others else 1.0)
    params = model.params
    *phones, last = alignment.phones
    end = np.shape(mel)[-1] * params.hop_length / params.sample_rate
    phones.append(replace(last, end=max(last.end, end)))  # nothing of the recording is cut off
    spoken = replaced(replace(alignment, phones=tuple(phones)), index, word)
    condition = condition_of(spoken, model)
    seconds = word.phones[-1].end
    edit = replace_frames(mel, alignment.words[index], seconds, params, condition.shape[1])
    return edit, condition


def _around(words: Sequence[Interval], index: int) -> tuple[Sequence[Interval], ...]:
    return words[:index], words[index + 1 :]
