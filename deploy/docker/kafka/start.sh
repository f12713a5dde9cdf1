#!/usr/bin/env bash
# Start the broker under a cluster id that lives as long as its data.
#
# The services remember the id of the cluster that their offsets belong to. The image's own default id is the same
# for every cluster: a broker whose data were removed would pass for the old one, and records be skipped.
set -euo pipefail

known="$KAFKA_LOG_DIRS/meta.properties"
if [ -f "$known" ]; then
  CLUSTER_ID=$(sed -n 's/^cluster\.id=//p' "$known")
else
  # Kafka's own form: 16 bytes in URL-safe base 64 without padding, never starting with a dash.
  random=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
  CLUSTER_ID="Q${random:1}"
fi
export CLUSTER_ID
exec /etc/kafka/docker/run
