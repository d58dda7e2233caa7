#!/bin/bash
# One command on several machines over ssh, without a scheduler; all see the same files under the same paths.
#
#   HOSTS="node1 node2" ./shells.sh nirjax evaluate model.nir recordings.npy --dt 1e-4 --output results
#
# HOSTS="localhost localhost" starts two processes here. PORT is one that is free on the first host.
set -u
read -ra hosts <<< "${HOSTS:?a list of hosts}"
for index in "${!hosts[@]}"; do
  command=("$@" --distributed "${hosts[0]}:${PORT:-9911},$index,${#hosts[@]}")
  if [ "${hosts[index]}" = localhost ]; then
    "${command[@]}" &
  else
    ssh "${hosts[index]}" "cd $(printf %q "$PWD") && $(printf '%q ' "${command[@]}")" &
  fi
done
failed=0
for job in $(jobs -p); do
  wait "$job" || failed=$?
done
exit "$failed"
