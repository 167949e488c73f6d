#!/usr/bin/env bash
# Installs tools that the tests need beyond Node, once, outside of the tree. Prints the folder of each that it is asked for, one
# a line. `python`: the bin folder of a virtual environment with cfn-lint, checkov, the AWS CLI, and the moto server from PyPI
# (requirements.txt). `localstack`: the same with LocalStack (requirements-localstack.txt). `jars`: AWS's event-ruler from Maven Central (event-ruler/pom.xml).
set -euo pipefail
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/envoy-hpa-reaper"

# need <what for> <tool>...
need() {
  for tool in "${@:2}"; do
    command -v "$tool" >/dev/null || {
      echo "there is no $tool, which $1 needs" >&2
      exit 1
    }
  done
}

python() {
  need "the whole path over moto (Python 3.11)" python3.11
  environment="$cache/infra-python-$(cksum <requirements.txt | tr ' ' -)"
  if [ ! -e "$environment/complete" ]; then
    echo "installing cfn-lint, checkov, awscli, and moto into $environment (a minute, only the first time)" >&2
    rm -rf "$environment"
    python3.11 -m venv "$environment" >&2
    "$environment/bin/pip" install --quiet --no-input --requirement requirements.txt >&2
    touch "$environment/complete"
  fi
  echo "$environment/bin"
}

localstack() {
  need "verify:infra (Python 3.11)" python3.11
  environment="$cache/infra-localstack-$(cksum <requirements-localstack.txt | tr ' ' -)"
  if [ ! -e "$environment/complete" ]; then
    echo "installing LocalStack into $environment (a minute, only the first time)" >&2
    rm -rf "$environment"
    python3.11 -m venv "$environment" >&2
    # Without what it needs for other services.
    "$environment/bin/pip" install --quiet --no-input --no-deps --requirement requirements-localstack.txt >&2
    touch "$environment/complete"
  fi
  echo "$environment/bin"
}

jars() {
  need "verify:infra (Java 17 and Maven)" mvn java
  jars="$cache/infra-java-$(cksum <event-ruler/pom.xml | tr ' ' -)"
  if [ ! -e "$jars/complete" ]; then
    echo "fetching event-ruler into $jars (only the first time)" >&2
    rm -rf "$jars"
    mvn --batch-mode --quiet --file event-ruler/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars" >&2
    touch "$jars/complete"
  fi
  echo "$jars"
}

for what in "$@"; do "$what"; done
