#!/usr/bin/env bash
# in_new_folder.sh INTERPRETER SCRIPT: runs it with WORK set to a new folder, removed afterwards. A script that
# skips itself (77) fails where BITSTILL_NO_SKIP=LABEL,LABEL... holds the name of its folder.
set -euo pipefail
WORK=$(mktemp -d)
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
