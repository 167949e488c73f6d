import type { ClientRequest } from 'node:http';
import process from 'node:process';
import { backfillConfigSchema } from '../../functions/backfill/backfill.ts';
import { ProxyAgent } from '../../functions/cli/input/proxy-agent.ts';
import { targetsOf } from '../../functions/cli/input/targets.ts';
import { enrollConfigSchema } from '../../functions/enroll/enroll.ts';
import { forwardConfigSchema } from '../../functions/forward/forward.ts';
import { lambdaHandler } from '../../functions/platform/lambda.ts';
import { reapConfigSchema } from '../../functions/reap/reap.ts';
import { checkConfiguration, readConfiguration, SETTINGS } from '../../infra/settings.ts';
import type { Choices } from '../choices.ts';
import { ENVIRONMENT } from './handlers.ts';
import { mutatedText, mutatedValue, SECRET, yamlOf } from './mutate.ts';
import { pathOf, world } from './surroundings.ts';
import { RefusedConfiguration, type Target } from './target.ts';

/** A process can only have texts, without a NUL, in its environment. */
function mutatedEnvironment(environment: object, choices: Choices): string {
  const mutated = mutatedValue(environment, [{ a: ['x', null] }], choices);
  const entries = Object.entries(typeof mutated === 'object' && mutated !== null ? mutated : {});
  const asText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).replaceAll('\0', '');
  return JSON.stringify(Object.fromEntries(entries.map(([name, value]) => [name, asText(value)])));
}

/** Runs something in an environment of these variables alone. */
async function within(variables: string, run: () => unknown): Promise<void> {
  const { env } = process;
  try {
    process.env = JSON.parse(variables);
    await run();
  } finally {
    process.env = env;
  }
}

const SCHEMAS = {
  forward: forwardConfigSchema,
  reap: reapConfigSchema,
  backfill: backfillConfigSchema,
  enroll: enrollConfigSchema,
};

const settings: Target = {
  name: 'lambda-environment',
  weight: 8,
  make: (choices) => ({
    function: choices.of(Object.keys(SCHEMAS)),
    variables: mutatedEnvironment(
      {
        ...ENVIRONMENT,
        MAX_DELETIONS_PER_RUN: '100',
        SETTLE_HPA_SECONDS: '120',
        SETTLE_CONFIG_SECONDS: '180',
        AWS_SESSION_TOKEN: SECRET,
        POWERTOOLS_LOG_LEVEL: 'INFO',
        POWERTOOLS_LOGGER_SAMPLE_RATE: '0.1',
      },
      choices,
    ),
  }),
  run: async (parts) =>
    await within(String(parts.variables), () => {
      const name = String(parts.function) as keyof typeof SCHEMAS;
      lambdaHandler(name, SCHEMAS[name], 'failed', ({ log }) => {
        log.info('created');
        return async () => {};
      });
    }),
};

const configuration: Target = {
  name: 'configuration',
  weight: 5,
  make(choices) {
    const values = Object.fromEntries(Object.entries(SETTINGS).map(([key, setting]) => [key, setting.default]));
    const text = yamlOf(mutatedValue(values, [values], choices));
    return { configuration: choices.chance(40) ? mutatedText(text, [text], choices) : text };
  },
  async run(parts) {
    world.files.set(pathOf('configuration'), parts.configuration ?? '');
    try {
      readConfiguration(pathOf('configuration'));
      checkConfiguration({}, 'defaults');
    } catch (error) {
      throw /^\S+ is not (valid:\n|YAML: )/.test((error as Error).message) ? new RefusedConfiguration() : error;
    }
  },
};

const PROXIES = {
  HTTPS_PROXY: `http://jane:${SECRET}@proxy.example.com:3128`,
  http_proxy: 'socks5://127.0.0.1:1080',
  NO_PROXY: '10.0.0.0/8,.example.com,[::1]:443,fd00::/8,localhost:1,*.x',
};
const HOSTS = ['api.example.com', '10.1.2.3', 'fd00::1', 'fe80::1%eth0', 'localhost', '', 'a..b'];

const proxies: Target = {
  name: 'proxies',
  weight: 4,
  make: (choices) => ({ variables: mutatedEnvironment(PROXIES, choices), host: choices.of(HOSTS) }),
  run: async (parts) =>
    await within(String(parts.variables), () => {
      const agent = new ProxyAgent();
      for (const secureEndpoint of [true, false]) {
        agent.connect({} as ClientRequest, { secureEndpoint, host: String(parts.host), port: 443 } as never);
      }
      agent.destroy();
    }),
};

const AWS = {
  AWS_REGION: 'eu-west-1',
  AWS_PROFILE: 'x',
  AWS_ACCESS_KEY_ID: 'A',
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_SESSION_TOKEN: SECRET,
  AWS_MAX_ATTEMPTS: '1',
  AWS_EC2_METADATA_DISABLED: 'true',
};

const aws: Target = {
  name: 'aws-environment',
  weight: 1,
  make: (choices) => ({ variables: mutatedEnvironment(AWS, choices) }),
  async run(parts) {
    // The SDK itself reads these files, and has faults of its own with odd names.
    const files = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
    const variables = JSON.stringify({ ...JSON.parse(String(parts.variables)), ...files });
    await within(variables, async () => await targetsOf({ eks: 'shop' }));
  },
};

export const ENVIRONMENTS: readonly Target[] = [settings, configuration, proxies, aws];
