#!/usr/bin/env bash
# Installs what `npm run verify:infra` needs beyond Node, once, outside of the tree: cfn-lint, checkov and moto's server
# from PyPI (requirements.txt), and AWS's event-ruler from Maven Central (event-ruler/pom.xml). Prints the bin folder of the
# virtual environment and the folder of the jars, one a line.
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper"

for tool in python3.11 mvn java; do
  command -v "$tool" >/dev/null || {
    echo "verify:infra needs Python 3.11, Java 17 and Maven; there is no $tool" >&2
    exit 1
  }
done

environment="$cache/infra-python-$(cksum <requirements.txt | tr ' ' -)"
if [ ! -e "$environment/complete" ]; then
  echo "installing cfn-lint, checkov and moto into $environment (a minute, only the first time)" >&2
  rm -rf "$environment"
  python3.11 -m venv "$environment" >&2
  "$environment/bin/pip" install --quiet --no-input --requirement requirements.txt >&2
  touch "$environment/complete"
fi

jars="$cache/infra-java-$(cksum <event-ruler/pom.xml | tr ' ' -)"
if [ ! -e "$jars/complete" ]; then
  echo "fetching event-ruler into $jars (only the first time)" >&2
  rm -rf "$jars"
  mvn --batch-mode --quiet --file event-ruler/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" >&2
  touch "$jars/complete"
fi

echo "$environment/bin"
echo "$jars"
