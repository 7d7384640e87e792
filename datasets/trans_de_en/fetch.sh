#!/usr/bin/env bash
# datasets/trans_de_en/fetch.sh FOLDER [PAIRS]: Debian's dictionary trans-de-en as FOLDER/de-en.tsv, a
# German and an English phrase a line; of all that it holds PAIRS drawn with a fixed seed (60000).
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
  echo "usage: $0 FOLDER [PAIRS]" >&2
  exit 2
fi
folder=$1
pairs=${2:-60000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=trans-de-en_1.9-6_all.deb
hash=45f6b4cf1c434776fba6811d7bc522efabb5425c43ba8afd0e289bf9e2e53df4

is_there() {
  [[ -f "$folder/$package" ]] && echo "$hash  $folder/$package" | sha256sum --check --status
}

mkdir -p "$folder"
if ! is_there; then
  (cd "$folder" && apt-get -q download trans-de-en=1.9-6) >&2
  if ! is_there; then
    echo "error: $folder/$package is not there after apt-get download, or has another SHA-256" >&2
    exit 3
  fi
fi
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
dpkg-deb --extract "$folder/$package" "$unpacked"
python3 "$here/pairs.py" "$unpacked/usr/share/trans/de-en" "$pairs" >"$folder/de-en.tsv.part"
mv "$folder/de-en.tsv.part" "$folder/de-en.tsv"
echo "$folder/de-en.tsv"
