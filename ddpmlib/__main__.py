"""The command line: `python -m ddpmlib COMMAND`, or `ddpm-speech COMMAND`.

Exit codes: 0, 1 with one sentence about what went wrong, 2 for wrong options.
"""

import argparse
import sys
import warnings

from ddpmlib.commands import COMMANDS


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
        with warnings.catch_warnings():
            # The sentence alone; Python would show a line of this library's source with it.
            warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
            args.run_command(args)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None


if __name__ == "__main__":
    main()
