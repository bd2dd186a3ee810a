#!/usr/bin/env bash
# Does it still speak as well as it did? Speaks a script, checks every line, compares with a run that was good.
#
#     examples/ci/regression.sh RECORDING SCRIPT RUN_DIR [BASELINE]
#
# BASELINE is the folder of a good run's run.json and check.json; without one only the limits below count.
# Exit codes are those of voiceclone: 0 all is well · 3 a line failed or got worse · 1, 2, 4 it could not be told.
set -u

if [ $# -lt 3 ]; then
    echo "usage: $0 RECORDING SCRIPT RUN_DIR [BASELINE]" >&2
    exit 2
fi
recording=$1 script=$2 run_dir=$3 baseline=${4:-}

voiceclone run "$recording" --script "$script" --out "$run_dir" --progress plain
ran=$?
# 3: some lines failed. The check names them beside those that only got worse.
if [ "$ran" -ne 0 ] && [ "$ran" -ne 3 ]; then
    exit "$ran"
fi

voiceclone check "$run_dir" --progress plain \
    --min-similarity "${MIN_SIMILARITY:-0.3}" --min-margin "${MIN_MARGIN:--0.05}" \
    --max-wer "${MAX_WER:-0.25}" --min-mos "${MIN_MOS:-2.0}" \
    ${baseline:+--baseline "$baseline"} --junit "$run_dir/check.xml"
checked=$?

if [ "$checked" -ne 0 ]; then
    exit "$checked"
fi
exit "$ran"
