#!/usr/bin/env bash
# in_new_folder.sh INTERPRETER SCRIPT: runs it with WORK set to a new folder, removed afterwards. A script that
# skips itself (77) fails where BITSTILL_NO_SKIP=LABEL,LABEL... holds the name of its folder.
set -euo pipefail
# In memory where there is plenty of it: tests save often, and the disk would make each wait.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -ge 8000000 ] 2>/dev/null; then
  TMPDIR=/dev/shm
fi
WORK=$(mktemp -d -p "${TMPDIR:-/tmp}")
export WORK
chmod 755 "$WORK"  # tests also act as another user
trap 'rm -rf "$WORK"' EXIT
code=0
"$@" || code=$?
label=$(basename "$(dirname "${@: -1}")")
if [ $code -eq 77 ] && [[ ,${BITSTILL_NO_SKIP:-}, == *,$label,* ]]; then
  echo "FAILED: skipped, which BITSTILL_NO_SKIP=$BITSTILL_NO_SKIP forbids"
  code=1
fi
exit $code
