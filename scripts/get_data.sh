#!/bin/sh
# Fetches public data sets from their publishers, checks them and writes the files that scenarios
# read: pass DIR on as `demur-sim run ... --data DIR`. Needs curl or wget; ml-1m needs unzip too.
# usage: scripts/get_data.sh [--to DIR] [--from DIR] NAME...
#   NAME         ml-100k, ml-1m, polis, or all
#   --to DIR     where to write; default: data
#   --from DIR   take the publisher's files (u.data, ml-1m.zip, participants-votes.csv) from DIR
#                instead of the network
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"

usage='usage: scripts/get_data.sh [--to DIR] [--from DIR] ml-100k|ml-1m|polis|all...'
movielens=https://files.grouplens.org/datasets/movielens
# A fixed commit: the file under the branch's name has moved before.
polis=https://raw.githubusercontent.com/compdemocracy/openData/ddbf0a0bcc13e71549e1317cc0493ad71b002677
tab=$(printf '\t')

movielens_terms='terms: MovieLens, GroupLens Research, University of Minnesota: research only, no commercial
use without permission, no redistribution; cite Harper and Konstan, 2015, doi 10.1145/2827872.'
polis_terms='terms: Polis open data, The Computational Democracy Project: CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/): name the source.'

# fetch URL FILE: downloads, or copies the file of that name out of --from.
fetch() {
  fetch_name=${1##*/}
  if [ -n "$from" ]; then
    [ -f "$from/$fetch_name" ] || fail "$from/$fetch_name: no such file; get it from $1"
    cp "$from/$fetch_name" "$2"
    return
  fi
  fetch_rc=0
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 3 --connect-timeout 20 -o "$2" "$1" || fetch_rc=$?
  elif command -v wget >/dev/null 2>&1; then
    wget -q --tries=3 --timeout=20 -O "$2" "$1" || fetch_rc=$?
  else
    fail "neither curl nor wget is here; install one, or fetch
  $1
by other means into a folder DIR and run this again with --from DIR"
  fi
  [ "$fetch_rc" -eq 0 ] || fail "cannot fetch $1 (exit $fetch_rc). Without a network here, get it by
other means into a folder DIR and run this again with --from DIR"
}

sha256_of() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1" | cut -c 1-64
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 <"$1" | cut -c 1-64
  else
    fail "neither sha256sum nor shasum is here: $1 cannot be checked"
  fi
}

# check_sha256 FILE WANTED NAME
check_sha256() {
  check_got=$(sha256_of "$1")
  [ "$check_got" = "$2" ] || fail "$3 is not the file that this script knows: SHA-256 is
  $check_got
and should be
  $2
A broken download, or the publisher has changed it."
}

# check_counts GOT WANTED WHAT NAME
check_counts() {
  [ "$1" = "$2" ] || fail "$4: $3 are
  $1
and should be
  $2
A broken download, or the publisher has changed it."
}

# place FILE TARGET: nothing half-written ever stands under the final name.
place() {
  mkdir -p "$(dirname "$2")"
  mv "$1" "$2.part"
  mv "$2.part" "$2"
  say "$2: written"
}

get_ml_100k() {
  say "ml-100k: MovieLens-100K, 943 people, 1,682 films, 100,000 ratings"
  say "$movielens_terms"
  fetch "$movielens/ml-100k/u.data" "$work/u.data"
  check_sha256 "$work/u.data" 06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490 u.data
  place "$work/u.data" "$to/ml-100k/u.data"
}

# ratings.dat (user::movie::rating::seconds) as `user movie rating order`, order being the place in
# the person's own history; equal times stay as the file has them.
order_ratings() {
  printf 'user\tmovie\trating\torder\n'
  awk -F '::' '{ printf "%s\t%s\t%s\t%s\t%d\n", $1, $2, $3, $4, NR }' "$1" |
    LC_ALL=C sort -t "$tab" -k 1,1n -k 4,4n -k 5,5n |
    awk -F '\t' '{ if ($1 != user) { user = $1; order = 0 }
                   printf "%s\t%s\t%s\t%d\n", $1, $2, $3, order++ }'
}

get_ml_1m() {
  say "ml-1m: MovieLens-1M, 6,040 people, 3,706 films, 1,000,209 ratings"
  say "$movielens_terms"
  command -v unzip >/dev/null 2>&1 || fail "ml-1m comes as a ZIP file: install unzip"
  command -v gzip >/dev/null 2>&1 || fail "ml-1m is kept compressed: install gzip"
  fetch "$movielens/ml-1m.zip" "$work/ml-1m.zip"
  check_sha256 "$work/ml-1m.zip" a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20 \
    ml-1m.zip
  unzip -p "$work/ml-1m.zip" ml-1m/ratings.dat >"$work/ratings.dat" ||
    fail "ml-1m.zip holds no ml-1m/ratings.dat that unzip can read"
  order_ratings "$work/ratings.dat" >"$work/ratings.tsv"
  check_counts "$(awk -F '\t' 'NR > 1 { if (!u[$1]++) people++; if (!m[$2]++) films++; rows++ }
    END { print rows + 0, people + 0, films + 0 }' "$work/ratings.tsv")" \
    "1000209 6040 3706" "rows, people and films" ml-1m
  gzip -n "$work/ratings.tsv"
  place "$work/ratings.tsv.gz" "$to/ml-1m/ratings_ordered.tsv.gz"
}

# participants-votes.csv, one line a person and from column 7 on one column a statement, as
# `user item vote timestamp_ms`. The export has no times.
list_votes() {
  printf 'user\titem\tvote\ttimestamp_ms\n'
  awk -F , '{ sub(/\r$/, "") }
    NR == 1 { for (c = 7; c <= NF; ++c) item[c] = $c; next }
    { for (c = 7; c <= NF; ++c) if ($c != "") printf "%s\t%s\t%s\t\n", $1, item[c], $c }' "$1" |
    LC_ALL=C sort -t "$tab" -k 1,1n -k 2,2n
}

get_polis() {
  say "polis: Polis, bowling-green, 2,031 people, 896 statements, 225,524 votes"
  say "$polis_terms"
  fetch "$polis/bowling-green.american-assembly/participants-votes.csv" "$work/votes.csv"
  list_votes "$work/votes.csv" >"$work/votes.tsv"
  check_counts "$(awk -F '\t' 'NR > 1 { if (!u[$1]++) people++; if (!i[$2]++) items++; votes[$3]++ }
    END { print people + 0, items + 0, votes["1"] + 0, votes["0"] + 0, votes["-1"] + 0 }' \
    "$work/votes.tsv")" \
    "2031 896 109752 77125 38647" "people, statements, agree, pass and disagree" polis
  place "$work/votes.tsv" "$to/polis/bowling-green.votes.tsv"
}

to=data
from=
names=
while [ $# -gt 0 ]; do
  case $1 in
    --to | --from)
      [ $# -ge 2 ] || fail "$1 needs a folder; $usage"
      if [ "$1" = --to ]; then to=$2; else from=$2; fi
      shift ;;
    -h | --help) say "$usage"; exit 0 ;;
    ml-100k | ml-1m | polis) names="$names $1" ;;
    all) names='ml-100k ml-1m polis' ;;
    *) fail "unknown argument '$1'; $usage" ;;
  esac
  shift
done
[ -n "$names" ] || fail "name a data set; $usage"
[ -z "$from" ] || [ -d "$from" ] || fail "--from $from: no such folder"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
for name in $names; do
  case $name in
    ml-100k) get_ml_100k ;;
    ml-1m) get_ml_1m ;;
    polis) get_polis ;;
  esac
done
say "done: demur-sim run simulations/scenarios/NAME.toml --data $to --out out/NAME"
