"""The command line: `python -m ddpmlib COMMAND`, or `ddpm-speech COMMAND`.

Each command is a thin face of a library function, imported only when its command is run. Exit
codes: 0, 1 with one sentence about what went wrong, 2 for wrong options.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass


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
    parser.add_argument("--metadata", default="", help='CSV file, "folders" or "names"')
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1: one per core")
    add_fields(parser, Preparation, leave_out=("params",))
    add_fields(parser, SpectrogramParams)


def run_prepare(args: argparse.Namespace) -> None:
    from pathlib import Path

    from ddpmlib.data.build import build_dataset
    from ddpmlib.data.preparation import Preparation
    from ddpmlib.spectrogram.params import SpectrogramParams

    params = SpectrogramParams(**fields_of(SpectrogramParams, args))
    preparation = Preparation(params, **fields_of(Preparation, args))
    name = args.name or Path(args.folder).name
    print(build_dataset(args.folder, name, preparation, args.workers, args.metadata))


def train_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.training.config import TrainConfig

    add_fields(parser, TrainConfig)
    parser.add_argument("--width", type=int, default=32, help="of the network, default: 32")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)


def run_train(args: argparse.Namespace) -> None:
    from ddpmlib.models.unet import UNetConfig
    from ddpmlib.training.config import TrainConfig
    from ddpmlib.training.distributed import end_process, train_from_config

    try:
        config = TrainConfig(**fields_of(TrainConfig, args))
        network = None if config.init_from else UNetConfig(width=args.width)
        train_from_config(config, network, args.resume)
    except (ValueError, OSError, FloatingPointError, KeyboardInterrupt) as error:
        end_process(str(error) or "interrupted")
    end_process("")


def sample_options(parser: argparse.ArgumentParser) -> None:
    from ddpmlib.diffusion.provenance import SampleProvenance
    from ddpmlib.models.devices import DEVICES

    add_fields(parser, SampleProvenance, leave_out=("weights", "index"))
    parser.add_argument("--out", default="samples", help="folder for wav and PNG files")
    parser.add_argument("--device", choices=DEVICES, default="auto")


def run_sample(args: argparse.Namespace) -> None:
    from ddpmlib.diffusion import provenance
    from ddpmlib.diffusion.ddpm import DDPM

    model = DDPM.load(provenance.run_folder(args.run), args.device)
    values = fields_of(provenance.SampleProvenance, args)
    made_by = provenance.SampleProvenance(weights=provenance.weights_hash(args.run), **values)
    for path in provenance.save_samples(
        args.out, made_by, provenance.sample(model, made_by), model
    ):
        print(path)


def evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="recordings to evaluate")
    parser.add_argument("--against", help="recordings of real speech, to compare with")


def run_evaluate(args: argparse.Namespace) -> None:
    from ddpmlib.metrics.speech import evaluate, score_folder

    reference = score_folder(args.against) if args.against else []
    for name, value in evaluate(score_folder(args.folder), reference).items():
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
    "sample": Command(
        "generate speech from a run, as wav and PNG files",
        "ddpm-speech sample --run my_voice --count 8 --out samples",
        sample_options,
        run_sample,
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


def add_fields(
    parser: argparse.ArgumentParser, kind: type, leave_out: tuple[str, ...] = ()
) -> None:
    """An option for each field of a dataclass, with its default."""
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        options = {"default": field.default, "help": f"default: {field.default}"}
        if field.type is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif field.type == tuple[int, int]:
            options |= {"type": int, "nargs": 2}
        else:  # such as float, or float | None
            options["type"] = next(iter(getattr(field.type, "__args__", [field.type])))
        parser.add_argument(f"--{field.name.replace('_', '-')}", **options)


def fields_of(kind: type, args: argparse.Namespace) -> dict:
    """The values given for the fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def main(argv: list[str] | None = None) -> None:
    """Run one command; SystemExit 1 with one sentence where it fails, 2 for wrong options."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        "ddpm-speech", description="DDPM on mel-spectrograms of speech"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        chosen = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=f"example:\n  {command.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        chosen.set_defaults(run_command=command.run)
        if argv[:1] == [
            name
        ]:  # the options of the others would import what this one can do without
            command.add_options(chosen)
    args = parser.parse_args(argv)
    try:
        args.run_command(args)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None


if __name__ == "__main__":
    main()
