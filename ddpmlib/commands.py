"""The commands of the command line: thin faces of library functions, imported when they are run."""

import argparse
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from ddpmlib.storage.parameters import add_fields, fields_of


@dataclass(frozen=True)
class Command:
    """One command: what it is for, examples of it, its options, and what it does."""

    summary: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def corpus_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.audio.corpora import CORPORA

    lines = "\n".join(f"  {name:12} {c.description}" for name, c in CORPORA.items())
    parser.epilog = f"corpora:\n{lines}\n\n{parser.epilog}"
    parser.add_argument("name", choices=list(CORPORA), metavar="NAME")
    parser.add_argument("--into", default="data/corpora", help="parent folder (%(default)s)")


def run_corpus(args: argparse.Namespace) -> None:
    from ddpmlib.audio.corpora import ATTRIBUTION, CORPORA, fetch_corpus

    folder, corpus = fetch_corpus(args.name, args.into), CORPORA[args.name]
    count = sum(1 for _ in folder.rglob(corpus.audio))
    print(f"{folder}: {count} audio files, {corpus.licence}, see {folder / ATTRIBUTION}")


def prepare_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.data.preparation import Preparation
    from ddpmlib.spectrogram.params import SpectrogramParams

    parser.add_argument("folder", help="recordings: from here, from data/, or gs://")
    parser.add_argument("--name", default="", help="of the data set (default: that of the folder)")
    parser.add_argument("--metadata", default="", help='table, "texts", "folders" or "names"')
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1: one per core")
    parser.add_argument("--align", action="store_true", help="texts, to condition on phones")
    add_pronunciation(parser)
    add_fields(parser, Preparation, leave_out=("params",))
    add_fields(parser, SpectrogramParams)


def run_prepare(args: argparse.Namespace) -> None:
    from pathlib import Path

    from ddpmlib.data.build import build_dataset
    from ddpmlib.data.preparation import Preparation
    from ddpmlib.spectrogram.params import SpectrogramParams
    from ddpmlib.text.corpus import Aligner
    from ddpmlib.text.pronunciation import Lexicon

    params = SpectrogramParams(**fields_of(SpectrogramParams, args))
    preparation = Preparation(params, **fields_of(Preparation, args))
    name = args.name or Path(args.folder).name
    aligner = Aligner(Lexicon(args.pronunciations, args.spell)) if args.align else None
    how = {"metadata": args.metadata, "aligner": aligner}
    print(build_dataset(args.folder, name, preparation, args.workers, **how))


def train_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.training.config import TrainConfig

    add_fields(parser, TrainConfig)
    parser.add_argument("--width", type=int, default=32, help="of the network, default: 32")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)


def run_train(args: argparse.Namespace) -> None:
    from ddpmlib.training.config import TrainConfig
    from ddpmlib.training.distributed import train_and_end

    train_and_end(lambda: TrainConfig(**fields_of(TrainConfig, args)), args.width, args.resume)


def distill_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.training.config import AS_ITS_TEACHER, STUDENT, TrainConfig

    parser.add_argument("run", metavar="RUN", help="the teacher, or a student to go on from")
    theirs = dict.fromkeys(AS_ITS_TEACHER, "as its teacher") | STUDENT | {"name": "RUN_student"}
    add_fields(parser, TrainConfig, ("init_from",), shown=theirs)
    parser.set_defaults(**{field.name: None for field in dataclasses.fields(TrainConfig)}, width=0)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)


def run_distill(args: argparse.Namespace) -> None:
    from ddpmlib.training.config import TrainConfig
    from ddpmlib.training.distributed import train_and_end

    given = {n: value for n, value in fields_of(TrainConfig, args).items() if value is not None}
    train_and_end(lambda: TrainConfig.of_student(args.run, **given), args.width, args.resume)


def sample_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.diffusion.provenance import SampleProvenance
    from ddpmlib.models.devices import DEVICES

    add_fields(parser, SampleProvenance, leave_out=("weights", "index", "timesteps"))
    parser.set_defaults(sampler=None, num_steps=None, time_grid=None, guidance_scale=None)
    parser.add_argument("--out", default="samples", help="folder for wav and PNG files")
    parser.add_argument("--device", choices=DEVICES, default="auto")


def run_sample(args: argparse.Namespace) -> None:
    from ddpmlib.diffusion import provenance
    from ddpmlib.diffusion.ddpm import DDPM

    model = DDPM.load(provenance.run_folder(args.run), args.device)
    values = fields_of(provenance.SampleProvenance, args)
    values |= model.settings(**{name: values[name] for name in model.settings()})
    made_by = provenance.SampleProvenance(weights=provenance.weights_hash(args.run), **values)
    mels = provenance.sample(model, made_by)
    print(*provenance.save_samples(args.out, made_by, mels, model), sep="\n")


def say_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, NUM_STEPS
    from ddpmlib.diffusion.speech import SPEAKING
    from ddpmlib.models.devices import DEVICES

    parser.add_argument("text", nargs="?", help="in English; or use --file")
    parser.add_argument("--file", help="texts, one a line; then --out is a folder")
    parser.add_argument("--run", default=SPEAKING, help="default: %(default)s")
    parser.add_argument("--out", help="default: said.wav; with --file: said")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--speed", type=float, default=1.0, help="default: %(default)s")
    parser.add_argument("--num-steps", type=int, help=f"default: {NUM_STEPS}")
    parser.add_argument("--guidance-scale", type=float, help=f"default: {GUIDANCE_SCALE}")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    add_pronunciation(parser)


def run_say(args: argparse.Namespace) -> None:
    from ddpmlib.diffusion.ddpm import DDPM
    from ddpmlib.diffusion.provenance import run_folder
    from ddpmlib.diffusion.speech import save_speech, say_file
    from ddpmlib.text.pronunciation import Lexicon

    if (args.text is None) == (args.file is None):
        raise ValueError("needed: either a text, or --file with one text a line")
    model = DDPM.load(run_folder(args.run), args.device)
    how = {n: getattr(args, n) for n in ("seed", "speed", "num_steps", "guidance_scale")}
    how["lexicon"] = Lexicon(args.pronunciations, args.spell)
    if args.file:
        print(*say_file(model, args.file, args.out or "said", **how), sep="\n")
    else:
        print(save_speech(args.out or "said.wav", model.say(args.text, **how)[0], model))


def evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="recordings to evaluate")
    parser.add_argument("--against", default="", help="recordings of real speech, to compare with")
    parser.add_argument("--texts", default="", help="CSV file of what they say: word, phone error")


def run_evaluate(args: argparse.Namespace) -> None:
    from ddpmlib.metrics.folders import evaluate_folder

    for name, value in evaluate_folder(args.folder, args.against, args.texts).items():
        print(f"{name:18} {value}")


def profile_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(64, 256), metavar=("N_MELS", "N_FRAMES")
    )
    parser.add_argument("--width", type=int, default=32, help="channels at the finest level")


def run_profile(args: argparse.Namespace) -> None:
    from ddpmlib.models.unet import check

    print(check(tuple(args.image_size), args.width))


def vocoder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("datasets", nargs="+", help="names in data/spectrograms/, as NAME.npy")
    parser.add_argument("--minutes", type=float, default=20.0, help="default: %(default)s")
    parser.add_argument("--name", default="inversion", help="NAME.safetensors in data/pretrained/")


def run_vocoder(args: argparse.Namespace) -> None:
    from ddpmlib.storage.paths import data_folder
    from ddpmlib.training.mel_to_linear import train_mel_to_linear

    path = data_folder() / "pretrained" / f"{args.name}.safetensors"
    train_mel_to_linear(args.datasets, args.minutes, path)


def add_pronunciation(parser: argparse.ArgumentParser) -> None:
    """Options of a `text.pronunciation.Lexicon`."""
    parser.add_argument("--pronunciations", default="", help="file of lines word<TAB>PHONES")
    parser.add_argument("--spell", action="store_true", help="words nobody can pronounce")


COMMANDS = {
    "corpus": Command(
        "fetch public recordings, with their attribution",
        "ddpm-speech corpus asterisk-en --into data/corpora/",
        corpus_options,
        run_corpus,
    ),
    "prepare": Command(
        "folder of recordings -> data/spectrograms/NAME.npy",
        "ddpm-speech prepare corpora/my_voice --join --overlap 0.75",
        prepare_options,
        run_prepare,
    ),
    "train": Command(
        "train a DDPM in data/runs/NAME/; the same line again resumes",
        "ddpm-speech train --dataset my_voice.npy --name my_voice --max-minutes 60",
        train_options,
        run_train,
    ),
    "distill": Command(
        "train a student of a run, which samples in a few steps and without guidance",
        "ddpm-speech distill my_voice --max-minutes 60",
        distill_options,
        run_distill,
    ),
    "sample": Command(
        "generate speech from a run, as wav and PNG files",
        "ddpm-speech sample --run my_voice --count 8 --out samples",
        sample_options,
        run_sample,
    ),
    "say": Command(
        "say a text, as a wav file",
        'ddpm-speech say "The little boat crossed the lake." --out boat.wav',
        say_options,
        run_say,
    ),
    "evaluate": Command(
        "speech metrics of the recordings in a folder",
        "ddpm-speech evaluate data/runs/demo/gibberish --against data/sample_corpus",
        evaluate_options,
        run_evaluate,
    ),
    "profile": Command(
        "parameters, FLOPs, step time and peak memory of the network on this machine",
        "ddpm-speech profile --image-size 80 512",
        profile_options,
        run_profile,
    ),
    "vocoder": Command(
        "train the mel-to-linear step of the vocoder",
        "ddpm-speech vocoder my_voice.npy --minutes 20",
        vocoder_options,
        run_vocoder,
    ),
}
