"""LocalStack, whose Lambda functions run in Node processes instead of in Docker containers.

`localstack_server.py NODE ONE_INVOCATION`: the Node executable, and the script that runs one invocation. Prints each invocation as a
line of JSON. Ends with everything that it started when standard input ends.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


class Lock:
    """A class as in Python 3.13, which LocalStack is written for: `Lock | None` is evaluated."""

    __new__ = staticmethod(lambda _class, make=threading.Lock: make())


make_lock, threading.Lock = threading.Lock, Lock
import localstack.packages.api  # noqa: E402

threading.Lock = make_lock

from localstack import config
from localstack.runtime.main import main
from localstack.services.lambda_.invocation import docker_runtime_executor
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.services.s3 import provider as s3

NODE, ONE_INVOCATION = sys.argv[1:]


class NodeExecutor(RuntimeExecutor):
    def start(self, env_vars):
        self.environment = {name: str(value) for name, value in env_vars.items()}
        # EKS is no part of LocalStack.
        self.environment["AWS_ENDPOINT_URL_EKS"] = os.environ["AWS_ENDPOINT_URL_EKS"]

    def stop(self):
        pass

    def get_address(self):
        return config.GATEWAY_LISTEN[0].host

    get_endpoint_from_executor = get_address

    def get_runtime_endpoint(self):
        return ""

    def get_logs(self):
        return ""

    def invoke(self, payload):
        function = self.function_version
        handler = function.config.code.get_unzipped_code_location() / function.config.handler.replace(".handler", ".mjs")
        request = payload["invoke-id"]
        context = {
            "awsRequestId": request,
            "functionName": function.id.function_name,
            "invokedFunctionArn": payload["invoked-function-arn"],
            "memoryLimitInMB": str(function.config.memory_size),
        }
        with tempfile.TemporaryDirectory() as folder:
            event, answer = Path(folder, "event"), Path(folder, "answer")
            seconds = function.config.timeout
            told = {"event": json.loads(payload["payload"] or "{}"), "context": context, "remaining": seconds * 1000}
            event.write_text(json.dumps(told))
            # The answer goes to file descriptor 3.
            ended = subprocess.run(
                ["bash", "-c", 'exec 3>"$0" "$@"', answer, NODE, ONE_INVOCATION, handler, event],
                env=self.environment,
                timeout=seconds,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            said = answer.read_text()
        if said:
            result, failed = json.loads(said).get("answer"), False
        else:
            result, failed = {"errorMessage": ended.stdout[-1000:], "errorType": "Error"}, True
        told = {"function": function.id.function_name, "event": told["event"], "answer": result, "failed": failed}
        print(json.dumps(told), flush=True)
        return InvocationResult(request, json.dumps(result).encode(), is_error=failed, logs=ended.stdout)

    @classmethod
    def prepare_version(cls, function_version):
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass


def end_with_input():
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_input, daemon=True).start()
s3.DEFAULT_S3_TMP_DIR = str(Path(tempfile.gettempdir(), "s3"))
docker_runtime_executor.DockerRuntimeExecutor = NodeExecutor
main()
