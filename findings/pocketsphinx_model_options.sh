#!/usr/bin/env bash
# One expects an option given to `pocketsphinx.Decoder` to be used, or refused. Those that the
# acoustic model's own file feat.params names (cmn, remove_noise, lowerf, upperf ...) are replaced
# by the file's values when the model is loaded, without a warning; `Config` with the same
# arguments still shows the values given. It matters because an experiment with and without noise
# removal, or with other cepstral mean normalisation, compares a setting with itself. The options
# count with a copy of the model whose feat.params is edited. The project gives only options that
# the file leaves open.
# pocketsphinx 5.1.1
#
# Seen: given:   {'cmn': 'none', 'remove_noise': False, 'lowerf': 300.0}; Config shows the same
#       Decoder: {'cmn': 'batch', 'remove_noise': True, 'lowerf': 130.0}
#       Decoder with an edited copy of the model: as given
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet pocketsphinx==5.1.1
venv/bin/python - <<'PYTHON'
import shutil
from importlib.metadata import version
from pathlib import Path

from pocketsphinx import Config, Decoder, get_model_path

GIVEN = {"cmn": "none", "remove_noise": False, "lowerf": 300.0}
model = Path(get_model_path("en-us/en-us"))
edited = Path("model")
shutil.copytree(model, edited)
lines = (model / "feat.params").read_text().splitlines()
kept = [line for line in lines if line.split()[0].lstrip("-") not in GIVEN]
(edited / "feat.params").write_text("\n".join(kept) + "\n")


def used(config):
    return {name: config[name] for name in GIVEN}


in_config = used(Config(hmm=str(model), **GIVEN))
decoder = used(Decoder(hmm=str(model), lm=None, loglevel="FATAL", **GIVEN).config)
with_copy = used(Decoder(hmm=str(edited), lm=None, loglevel="FATAL", **GIVEN).config)
print("pocketsphinx", version("pocketsphinx"))
for name, values in (("given", GIVEN), ("Config", in_config), ("Decoder", decoder),
                     ("Decoder with an edited copy of the model", with_copy)):
    print(f"{name}: {values}")
if not (in_config == GIVEN == with_copy and all(decoder[n] != GIVEN[n] for n in GIVEN)):
    raise SystemExit("no longer seen: the decoder uses the options that it is given")
PYTHON
