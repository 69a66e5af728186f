#!/usr/bin/env bash
# The report's three submissions (section 3), from the dataset's files to three tables of scores and their lwlrap:
#
#   submission.1.csv  the mean of 12 systems: 5 folds of the report's system, and 7 fine-tuned ones; windows 0.4 s apart
#   submission.2.csv  the same, and the report's system trained on all curated clips
#   submission.3.csv  that system alone; windows 0.25 s apart
#
# Usage: ./reproduce.sh DATASET OUT [--size RECIPE] [--threads N] [--cpu]
#        ./reproduce.sh --rehearse [OUT] [--threads N]
#
# DATASET is FSDKaggle2019's folder. OUT takes stores, runs and tables; stopped and called again, it goes on.
# --size is a recipe at the bottom of all systems, such as laptop-report; default: report, which wants a GPU.
# --rehearse walks the same steps in tiny sizes, on the built-in sound set, in OUT or in a temporary folder.
set -euo pipefail

HOP_ENSEMBLE=26 # 0.4 s are 25.6 frames
HOP_SINGLE=16
FOLDS=(0 1 2 3 4)
SYSTEMS=(max-pooling mean-max attention residual separable bands-64 long-window)
REPORTED=([1]=0.730 [2]=0.729 [3]=0.712)

refuse() {
  echo "reproduce.sh: $1; see the head of reproduce.sh" >&2
  exit 2
}

size=report
rehearse=
threads=()
cpu=()
places=()
while [ $# -gt 0 ]; do
  case $1 in
    --rehearse) rehearse=yes size=rehearsal ;;
    --cpu) cpu=(--cpu) ;;
    --size | --threads)
      [ $# -gt 1 ] || refuse "$1 needs a value"
      if [ "$1" = --size ]; then size=$2; else threads=(--threads "$2"); fi
      shift
      ;;
    -*) refuse "no option $1" ;;
    *) places+=("$1") ;;
  esac
  shift
done

if [ -n "${EARWITNESS:-}" ]; then
  read -ra program <<<"$EARWITNESS" # such as: python -m earwitness
else
  program=("$(dirname "$0")/.venv/bin/earwitness")
  [ -x "${program[0]}" ] || program=(earwitness)
fi

earwitness() { "${program[@]}" "$@"; }

all_but_listed() { earwitness "$@" || [ $? -eq 1 ]; } # status 1 means done, but for the clips or files it lists

# step NAME OUTPUT COMMAND...: does what has not been done; OUTPUT is there when, and only when, it has.
step() {
  if [ -e "$2" ]; then
    echo "== $1: already there"
  else
    echo "== $1"
    "${@:3}"
  fi
}

recipes() { # recipes NAME...: makes `options` those that put the named recipes on top of the size
  local name
  options=(--recipe "$size")
  for name; do options+=(--recipe "$name"); done
}

store_of() { # a store is bound to its features: two systems need one of their own
  case $1 in
    bands-64 | long-window) echo "$out/stores/$1" ;;
    *) echo "$out/stores/report" ;;
  esac
}

prepare() { # prepare NAME
  if [ "$1" = report ]; then recipes; else recipes "ensemble/$1"; fi
  all_but_listed prepare "$dataset" --out "$out/stores/$1" "${options[@]}" --json "$out/stores/$1.json"
}

train() { # train NAME OPTION...: with the recipes in `options`
  local run=$out/runs/$1
  shift
  [ ! -e "$run/run.json" ] || options+=(--resume)
  earwitness train "$@" --out "$run" "${options[@]}" ${threads[@]+"${threads[@]}"} ${cpu[@]+"${cpu[@]}"}
  touch "$run/finished"
}

estimate() {
  local systems=(--system "$size+warm-up" --system "$size+after-warm-up") one
  for one in "${FOLDS[@]}"; do systems+=(--system "$size+after-warm-up"); done
  for one in "${SYSTEMS[@]}"; do systems+=(--system "$size+fine-tuned+ensemble/$one"); done
  earwitness estimate "$dataset" --out "$out" "${systems[@]}" --json "$out/estimate.json" \
    ${threads[@]+"${threads[@]}"} ${cpu[@]+"${cpu[@]}"}
}

evaluate() { # evaluate N: the whole report goes into a file, the figures of each part are shown at the end
  earwitness evaluate --scores "$out/submission.$1.csv" "$out/stores/report" --json "$out/submission.$1.json" \
    >"$out/submission.$1.part"
  mv "$out/submission.$1.part" "$out/submission.$1.txt"
}

figure() { sed -n "s/^lwlrap \([0-9.]*\) .*, $2: .*/\1/p" "$out/submission.$1.txt"; }

if [ -n "$rehearse" ]; then
  [ ${#places[@]} -le 1 ] || refuse "--rehearse takes OUT alone"
  out=${places[0]:-$(mktemp -d)}
  dataset=$out/sounds
else
  [ ${#places[@]} -eq 2 ] || refuse "DATASET and OUT are needed"
  dataset=${places[0]} out=${places[1]}
fi
mkdir -p "$out/stores" "$out/runs"

[ -z "$rehearse" ] || step "the built-in sound set" "$dataset/test_post_competition.csv" \
  earwitness sounds --out "$dataset" --curated 2 --noisy 3 --test 2
tested=$dataset/test
[ -e "$tested" ] || tested=$dataset/FSDKaggle2019.audio_test
[ -e "$tested" ] || refuse "$dataset: no folder test or FSDKaggle2019.audio_test in it"

step "time and disk" "$out/estimate.json" estimate
for name in report bands-64 long-window; do step "log-mels: $name" "$out/stores/$name.json" prepare $name; done

# The folds and the single system share stage 1: it learns from the noisy clips alone.
report=$(store_of report)
recipes warm-up
step "warm-up" "$out/runs/warm-up/finished" train warm-up "$report" --fold all
for name in single "${FOLDS[@]/#/fold-}"; do
  fold=${name#fold-}
  [ "$name" != single ] || fold=all
  recipes after-warm-up
  step "$name" "$out/runs/$name/finished" train "$name" "$report" --fold "$fold" --start-from "$out/runs/warm-up"
done
for name in "${SYSTEMS[@]}"; do
  recipes fine-tuned "ensemble/$name"
  step "$name" "$out/runs/$name/finished" train "$name" "$(store_of "$name")" --fold all
done

models=()
for name in "${FOLDS[@]/#/fold-}" "${SYSTEMS[@]}"; do models+=("$out/runs/$name/model"); done
single=$out/runs/single/model
wide=(--hop-frames "$HOP_ENSEMBLE" ${threads[@]+"${threads[@]}"})
step "submission 1" "$out/submission.1.csv" \
  all_but_listed ensemble "${models[@]}" --sounds "$tested" --out "$out/submission.1.csv" "${wide[@]}"
step "the single system, windows 0.4 s apart" "$out/single.csv" \
  all_but_listed tag "$single" "$tested" --out "$out/single.csv" "${wide[@]}"
step "submission 2" "$out/submission.2.csv" \
  earwitness ensemble "$out/submission.1.csv" "$out/single.csv" --weights "${#models[@]},1" --out "$out/submission.2.csv"
step "submission 3" "$out/submission.3.csv" \
  all_but_listed tag "$single" "$tested" --out "$out/submission.3.csv" --hop-frames "$HOP_SINGLE" ${threads[@]+"${threads[@]}"}

for number in 1 2 3; do step "lwlrap of submission $number" "$out/submission.$number.txt" evaluate $number; done
echo
printf '%-14s%-9s%-9s%s\n' lwlrap Public Private "the report's Public"
for number in 1 2 3; do
  printf '%-14s%-9s%-9s%s\n' "submission $number" "$(figure $number Public)" "$(figure $number Private)" "${REPORTED[$number]}"
done
echo "all of it in $out"
