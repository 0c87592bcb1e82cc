#!/usr/bin/env bash
# Runs on the instance at every start, as root: fetches the commit of the job, installs it beside the
# image's PyTorch, and starts the runner as a unit of its own, which powers off when it ends.
# Any failure before that is reported to the bucket, and powers off as well. So does
#     startup.sh report CODE
# after a runner that ended without a report: killed since memory was full, or never really begun.
set -euo pipefail
export HOME="${HOME:-/root}" # neither this script nor a unit of systemd is given one

metadata_server="http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance"
storage="${STORAGE_EMULATOR_HOST:-https://storage.googleapis.com}"
home="${DDPM_HOME:-/home/jupyter/ddpm}"
log="$home/job.log"
project="$home/project"
retries="${DDPM_RETRIES:-6}"
install_minutes=30 # the dead man's margin over max_seconds, for what runs before and after
step="opening the log"

metadata() {
    curl -sSf --retry "$retries" --retry-all-errors --max-time 20 -H "Metadata-Flavor: Google" \
        "$metadata_server/$1"
}

# Calls the JSON API with the account's token, which goes through standard input: the arguments of
# a process can be read by others.
bucket_call() {
    local token
    token=$(metadata service-accounts/default/token | python3 -c \
        'import json, sys; print(json.load(sys.stdin)["access_token"])')
    curl -sSf --retry "$retries" --retry-all-errors --retry-max-time 120 --max-time 600 \
        -H @- "$@" <<<"Authorization: Bearer $token"
}

quoted() { python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' "$1"; }

download() { # name below output, local file
    bucket_call -o "$2" "$storage/download/storage/v1/b/$bucket/o/$(quoted "$folder/$1")?alt=media"
}

upload() { # local file, name below output
    bucket_call -o /dev/null --data-binary "@$1" -H "Content-Type: application/octet-stream" \
        "$storage/upload/storage/v1/b/$bucket/o?uploadType=media&name=$(quoted "$folder/$2")"
}

report() {
    set +eu
    local message="failed while $step; see job.log"
    echo "$message"
    logger -t ddpm "$message" # for the serial console, should all else fail
    rm -f "$home/status.before" # of an earlier start
    download status.json "$home/status.before"
    python3 - "$message" "$home/status.before" "$home/status.json" >"$home/status.failed" <<'PYTHON'
import contextlib, datetime, json, sys

status = {"seconds": 0}
for path in reversed(sys.argv[2:]):  # the bucket's counts before this disk's
    with contextlib.suppress(OSError, ValueError):
        status = json.load(open(path))
if status.get("state") != "SUCCEEDED":
    status |= {"state": "FAILED", "message": sys.argv[1]}
status["heartbeat"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
print(json.dumps(status))
PYTHON
    cp "$log" "$home/job.log.copy" # it is still being appended to
    upload "$home/job.log.copy" job.log
    upload "$home/status.failed" status.json
    shutdown -P now
}
if [ "${1:-}" != report ] && systemctl is-active --quiet ddpm-job; then
    exit # the job of this start is running
fi
trap '[ $? = 0 ] || report' EXIT

shutdown -P "+$install_minutes" # whatever hangs below
mkdir -p "$home"
exec >>"$log" 2>&1 # a plain file: with a pipe, the end of its reader would end the log too
echo "$(date -u +%FT%TZ) startup.sh begins"

step="reading the metadata"
max_seconds=$(metadata attributes/ddpm-max-seconds)
shutdown -P "+$(((max_seconds + 59) / 60 + install_minutes))" # in place of the first
output=$(metadata attributes/ddpm-output)
bucket=${output#gs://}
folder=${bucket#*/}
bucket=${bucket%%/*}
if [ "${1:-}" = report ]; then
    step="running: the runner ended with code $2"
    exit 1
fi

step="fetching the project"
download input/project.tar.gz "$home/project.tar.gz"
download input/job.json "$home/job.json"
python3 -m json.tool "$home/job.json" /dev/null
step="unpacking the project"
rm -rf "$home/new"
mkdir "$home/new"
tar -xzf "$home/project.tar.gz" -C "$home/new"
mkdir -p "$home/runs" # outside, so that those of an earlier start stay
ln -s "$home/runs" "$home/new/data/runs"
rm -rf "$project"
mv "$home/new" "$project"

step="finding the kernel python3"
PATH="$PATH:$(echo /opt/*/bin /opt/micromamba/envs/*/bin | tr ' ' ':')"
jupyter=$(command -v jupyter)
python=$("$jupyter" kernelspec list --json | python3 -c \
    'import json, sys; print(json.load(sys.stdin)["kernelspecs"]["python3"]["spec"]["argv"][0])')
case "$python" in
/*) ;;
*) python="$(dirname "$jupyter")/$python" ;;
esac
echo "kernel python3 is $python"

step="installing the project"
# The image's PyTorch fits its GPU driver, so it stays, with the setuptools that it wants, if this
# project can use it.
range=$(grep -o 'torch>=[0-9.]*' "$project/pyproject.toml")
if "$python" -m pip install --quiet --no-index --no-deps "$range"; then
    sed -i -E '/^(torch|setuptools|pip)==/d' "$project/constraints.txt"
    "$python" -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' \
        >>"$project/constraints.txt"
fi
(cd "$project" && "$python" -m pip install --quiet --constraint constraints.txt --editable .)

step="starting the runner"
settings=()
for name in HOME STORAGE_EMULATOR_HOST GCE_METADATA_HOST PATH ${!DDPM_*}; do
    if [ -n "${!name:-}" ]; then settings+=("--setenv=$name=${!name}"); fi
done
# When the machine stops, the unit ends before the network does. When the kernel of the notebook is
# killed since memory was full, the runner stays to report it.
# shellcheck disable=SC2016 # expanded by the unit's own shell
systemd-run --unit=ddpm-job --collect --property=TimeoutStopSec=85 --property=KillMode=mixed \
    --property=After=network-online.target --property=OOMPolicy=continue \
    "--property=StandardOutput=append:$log" "--property=StandardError=append:$log" \
    "${settings[@]}" bash -c '
        "$0" -m vertex_workbench.runner "$1" "$2" & runner=$!
        trap "kill -TERM $runner" TERM
        code=0; wait $runner || code=$?
        while kill -0 $runner 2>/dev/null; do code=0; wait $runner || code=$?; done
        case $code in
        3) ;; # had succeeded before: started by hand, for an inspection
        0 | 4) shutdown -P now ;;
        *) bash "$2/vertex_workbench/startup.sh" report $code; shutdown -P now ;;
        esac' "$python" "$output" "$project"
echo "$(date -u +%FT%TZ) startup.sh ends: the runner goes on"
