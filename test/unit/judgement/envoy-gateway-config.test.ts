import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { KUBERNETES_YAML, readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import { CONTROLLER, envoyGatewayConfig } from '../../builders/cluster.ts';

const KIND = 'kind: EnvoyGateway\n';
const read = (text: string) => readEnvoyGatewayConfig(envoyGatewayConfig({ text })).settings;

describe('reads', () => {
  const defaults = { controllerName: CONTROLLER, gatewayNamespaceMode: false };
  const limiting = 'rateLimit: {backend: {type: Redis}}\nprovider: {kubernetes: {';
  const ratePatch = `${limiting}rateLimitHpa: {name: limiter, maxReplicas: 5, patch: {type: JSONMerge, value: {a: 1}}}}}`;
  const merges = { defaultProxy: { mergeGateways: true } };
  const namedE5 = { defaultProxy: { provider: { kubernetes: { envoyHpa: { name: 'e5' } } } } };
  const unread = 'logging: {}\nenvoyProxy: {mergeGateways: true, bootstrap: {type: Merge}, telemetry: []}';
  test.each<[string, string, object]>([
    ['nothing as the defaults', '', {}],
    ['null as the defaults', 'gateway:\nprovider:\nenvoyProxy:\n', {}],
    ['no controllerName', 'gateway: {}', {}],
    ['an empty controllerName', 'gateway: {controllerName: ""}', {}],
    ['a controllerName', 'gateway: {controllerName: a/b}', { controllerName: 'a/b' }],
    ['the mode', 'provider: {kubernetes: {deploy: {type: ControllerNamespace}}}', {}],
    ['the other mode', 'provider: {kubernetes: {deploy: {type: GatewayNamespace}}}', { gatewayNamespaceMode: true }],
    ['an empty default', 'envoyProxy: {}', { defaultProxy: {} }],
    ['a default', 'envoyProxy: {mergeGateways: true}', merges],
    ['a default beside fields that nobody reads', unread, merges],
    ['YAML 1.1 booleans', 'envoyProxy: {mergeGateways: yes}', merges],
    ['anchors and merge keys', 'x: &x {mergeGateways: on}\nenvoyProxy: {<<: *x}', merges],
    ['a name like a number', 'envoyProxy: {provider: {kubernetes: {envoyHpa: {name: e5}}}}', namedE5],
    ['a rate limit service', `${limiting}}}`, { rateLimit: {} }],
    ['its autoscaling', `${limiting}rateLimitHpa: {}}}`, { rateLimit: { hpa: {} } }],
    ['its autoscaling null', `${limiting}rateLimitHpa: }}`, { rateLimit: {} }],
    [
      'its replicas',
      `${limiting}rateLimitDeployment: {replicas: 2, pod: {}}}}`,
      { rateLimit: { deployment: { replicas: 2 } } },
    ],
    ['the name of its HPA', ratePatch, { rateLimit: { hpa: { name: 'limiter', patch: { value: { a: 1 } } } } }],
    ['no autoscaling without the service', 'provider: {kubernetes: {rateLimitHpa: {}}}', {}],
    ['no autoscaling of rateLimit null', 'rateLimit:\nprovider: {kubernetes: {rateLimitHpa: {}}}', {}],
  ])('%s', (_, text, expected) => {
    expect(read(KIND + text)).toEqual({ ...defaults, ...expected });
  });
});

const numbers = { '1e5': 1e5, '+12e10': 12e10, '1.25e5': 1.25e5, '.25e+5': 0.25e5, '-1_0.5E-1': -1.05, '0x1f': 31 };
const texts = Object.fromEntries(['e5', 'x1e5', '1e5x', '2001-12-14'].map((text) => [text, text]));
test.each(Object.entries<unknown>({ ...numbers, ...texts }))('reads %s as kubectl does', (text, expected) => {
  expect(parse(text, KUBERNETES_YAML)).toBe(expected);
});

describe('reports what it cannot read, and never guesses:', () => {
  const NO_YAML = 'envoy-gateway.yaml is not valid YAML: ';
  const INVALID = 'envoy-gateway.yaml is not a valid EnvoyGateway: ';
  test.each<[string, string, string]>([
    ['no text', '', `${INVALID}: `],
    ['a scalar', 'EnvoyGateway', `${INVALID}: `],
    ['a list', '- kind: EnvoyGateway', INVALID],
    ['no kind', 'gateway: {}', `${INVALID}kind: `],
    ['another kind', 'kind: EnvoyProxy', `${INVALID}kind: `],
    ['an unfinished flow', `${KIND}envoyProxy: {`, NO_YAML],
    ['a syntax error at the end', `${KIND}gateway: {}\nenvoyProxy: @\n`, NO_YAML],
    ['wrong indentation', `${KIND}gateway:\n  controllerName: a\n envoyProxy: {}\n`, NO_YAML],
    ['a key twice', `${KIND}envoyProxy: {mergeGateways: true}\nenvoyProxy: {}\n`, `${NO_YAML}Map keys must be unique`],
    ['two documents', `${KIND}---\n${KIND}`, NO_YAML],
    ['a tab for indentation', `${KIND}gateway:\n\tcontrollerName: a\n`, NO_YAML],
    ['far more text than a configuration has', `${KIND}#${'x'.repeat(300_000)}`, 'is longer than 262144 characters'],
    ['an alias of nothing', `${KIND}envoyProxy: *x`, NO_YAML],
    ['an invalid controllerName', `${KIND}gateway: {controllerName: [a]}`, 'gateway.controllerName: '],
    ['an unknown mode', `${KIND}provider: {kubernetes: {deploy: {type: X}}}`, 'provider.kubernetes.deploy.type: '],
    ['an invalid default', `${KIND}envoyProxy: none`, 'envoyProxy: '],
    ['an unknown mergeType', `${KIND}envoyProxy: {mergeType: Deep}`, 'envoyProxy.mergeType: '],
    ['an invalid envoyHpa', `${KIND}envoyProxy: {provider: {kubernetes: {envoyHpa: 1}}}`, '.kubernetes.envoyHpa: '],
    ['an invalid mergeGateways', `${KIND}envoyProxy: {mergeGateways: "true"}`, 'envoyProxy.mergeGateways: '],
  ])('%s', (_, text, fault) => {
    const settings = read(text);
    expect(settings).toEqual({ unreadable: expect.stringContaining(fault) });
    expect(settings.unreadable).not.toContain('\n');
  });

  test.each([{ 'other.yaml': 'kind: EnvoyGateway' }, null])('a ConfigMap with data %j', (data) => {
    const { settings, configMap } = readEnvoyGatewayConfig({ ...envoyGatewayConfig(), data });
    expect(settings).toEqual({ unreadable: 'it has no key envoy-gateway.yaml' });
    expect(configMap.metadata.name).toBe('envoy-gateway-config');
  });
});
