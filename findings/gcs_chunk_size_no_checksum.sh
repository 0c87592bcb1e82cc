#!/usr/bin/env bash
# One expects `blob.download_as_bytes(checksum="crc32c")` of google-cloud-storage to raise
# DataCorruption when a byte was damaged on the way, as it does by default. Once `blob.chunk_size`
# is set (which large files over unreliable lines suggest, since each range is retried by itself)
# nothing is verified, whatever `checksum` says; the only trace is a log record of level INFO. It
# matters because damaged recordings or weights arrive with no error. The project compares the
# crc32c of every file that it downloads with the one in the object's metadata. A stub on this
# machine plays the service.
# google-cloud-storage 3.17.1
#
# Seen: chunk_size None: DataCorruption
#       chunk_size 262144: 600000 bytes returned, equal to the object: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet google-cloud-storage==3.17.1 google-crc32c==1.9.0
venv/bin/python - <<'PYTHON'
import base64
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import google_crc32c
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

STORED = bytes(range(240)) * 2500
SENT = STORED[:300_000] + b"\xff" + STORED[300_001:]  # one byte damaged on the way
CRC = base64.b64encode(google_crc32c.Checksum(STORED).digest()).decode()
METADATA = json.dumps({"name": "a.wav", "bucket": "b", "crc32c": CRC, "generation": 1}).encode()


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        content, headers, status = METADATA, {}, 200
        if "alt=media" in self.path:
            content, headers["X-Goog-Hash"] = SENT, f"crc32c={CRC}"
            if wanted := self.headers.get("Range"):
                first, last = map(int, wanted.removeprefix("bytes=").split("-"))
                content, status = SENT[first : last + 1], 206
                headers["Content-Range"] = f"bytes {first}-{first + len(content) - 1}/{len(SENT)}"
        self.send_response(status)
        headers |= {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        for header in headers.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_): ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{server.server_port}"
client = storage.Client(project="p", credentials=AnonymousCredentials())
print("google-cloud-storage", storage.__version__)
found = []
for chunk_size in (None, 1 << 18):
    blob = client.bucket("b").get_blob("a.wav")
    blob.chunk_size = chunk_size
    try:
        got = blob.download_as_bytes(checksum="crc32c")
        found.append(f"{len(got)} bytes returned, equal to the object: {got == STORED}")
    except Exception as error:
        found.append(type(error).__name__)
    print(f"chunk_size {chunk_size}: {found[-1]}")
if not (found[0] == "DataCorruption" and found[1].endswith("False")):
    raise SystemExit("no longer seen: both downloads are verified, or neither")
PYTHON
