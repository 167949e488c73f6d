#!/usr/bin/env bash
# Fetches the CustomResourceDefinitions of the Gateway API and of Envoy Gateway from the Go module proxy, once. Prints the
# folder that holds them.
set -euo pipefail

envoy_gateway=v1.9.1

crds="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper/crds-envoy-gateway-$envoy_gateway"
if [ -d "$crds" ]; then
  echo "$crds"
  exit 0
fi
command -v go >/dev/null || {
  echo "test:real needs Go to fetch Envoy Gateway's CRDs; or put gatewayapi-crds.yaml and gateway.envoyproxy.io_envoyproxies.yaml of Envoy Gateway $envoy_gateway into $crds" >&2
  exit 1
}

echo "fetching the CRDs of Envoy Gateway $envoy_gateway into $crds (only the first time)" >&2
module=$(go mod download -json "github.com/envoyproxy/gateway@$envoy_gateway" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
source="$module/charts/gateway-helm/charts/crds/crds"
mkdir -p "$crds.partial"
cp "$source/gatewayapi-crds.yaml" "$source/generated/gateway.envoyproxy.io_envoyproxies.yaml" "$crds.partial/"
chmod u+w "$crds.partial"/*
mv "$crds.partial" "$crds"
echo "$crds"
