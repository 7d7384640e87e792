#!/usr/bin/env bash
# in_new_folder.sh INTERPRETER SCRIPT: runs it with WORK set to a new folder, removed afterwards.
set -euo pipefail
WORK=$(mktemp -d)
export WORK
chmod 755 "$WORK"  # tests also act as another user
trap 'rm -rf "$WORK"' EXIT
"$@"
