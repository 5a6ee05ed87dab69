#!/bin/sh
# Starts the stand-in for Microsoft Entra and the gateway of this folder, and stops both
# when it is interrupted. What is given is passed on to mcpagg serve.
set -eu
ENTRA_DEMO_CONFIG=../own-team/gateway.hcl exec "$(dirname "$0")/../entra-demo/run.sh" "$@"
