#!/bin/sh
# Builds the images of the servers and starts the gateway with them. What is given
# is passed on to mcpagg serve:
#
#   examples/enterprise/run.sh
#   ENGINE=docker examples/enterprise/run.sh --listen 127.0.0.1:9000
set -eu
cd "$(dirname "$0")/../.."

if [ -z "${ENGINE:-}" ]; then
	for ENGINE in podman docker ''; do
		[ -z "$ENGINE" ] || ! command -v "$ENGINE" >/dev/null || break
	done
	[ -n "$ENGINE" ] || { echo "run.sh: neither podman nor docker is on PATH" >&2; exit 1; }
fi
export ENGINE
: "${GO:=go}" "${MCPAGG:=bin/mcpagg}"

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
for name in github atlassian; do
	CGO_ENABLED=0 "$GO" build -o "$context/server" "./examples/enterprise/$name"
	"$ENGINE" build --quiet --network none -t "localhost/mcpagg-example/$name:1" -f examples/enterprise/Containerfile "$context" >/dev/null
done
[ "$MCPAGG" != bin/mcpagg ] || make --silent build
rm -rf "$context"

# The servers only look whether they have secrets. Real ones get real ones.
: "${GITHUB_PERSONAL_ACCESS_TOKEN:=example}" "${SECRETS:=${XDG_STATE_HOME:-$HOME/.local/state}/mcpagg-example/secrets}"
export GITHUB_PERSONAL_ACCESS_TOKEN SECRETS
(umask 077 && mkdir -p "$SECRETS")
for name in jira-token confluence-token; do
	[ -e "$SECRETS/$name" ] || (umask 077 && echo example >"$SECRETS/$name")
done
exec "$MCPAGG" serve -c examples/enterprise/gateway.hcl "$@"
