#!/bin/bash
# Starts the stand-in for Microsoft Entra and a gateway in front of two upstreams,
# and stops both when one of them ends or it is interrupted. What is given is
# passed on to mcpagg serve:
#
#   examples/entra-demo/run.sh
#   examples/entra-demo/run.sh --log-level debug
#
# ENTRA_DEMO_CONFIG is another configuration in this folder, such as compat.hcl.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${MCPAGG:=bin/mcpagg}" "${ENTRA_DEMO:=http://127.0.0.1:9400}" "${ENTRA_DEMO_ADMIN:=127.0.0.1:9401}" "${ENTRA_DEMO_CONFIG:=gateway.hcl}"
export ENTRA_DEMO
host=${ENTRA_DEMO#http://}
[ "$MCPAGG" != bin/mcpagg ] || make --silent build

pids=()
stop() {
	trap - EXIT INT TERM
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What it prints for gateway.hcl is there already.
"$MCPAGG" dev fake-entra --listen "$host" --admin "$ENTRA_DEMO_ADMIN" > >(
	while IFS= read -r line && [ "$line" != "In gateway.hcl:" ]; do printf '%s\n' "$line"; done
	cat >/dev/null
) &
pids+=($!)
for _ in $(seq 100); do # it is there within a second
	! (exec 3<>"/dev/tcp/${host%:*}/${host##*:}") 2>/dev/null || break
	kill -0 "${pids[0]}" 2>/dev/null || exit 1 # it has said why
	sleep 0.1
done

"$MCPAGG" serve -c "examples/entra-demo/$ENTRA_DEMO_CONFIG" "$@" &
pids+=($!)
while kill -0 "${pids[0]}" 2>/dev/null && kill -0 "${pids[1]}" 2>/dev/null; do sleep 0.5; done
exit 1 # it has said why
