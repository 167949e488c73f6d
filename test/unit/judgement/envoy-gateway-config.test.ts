import { describe, expect, test } from 'vitest';
import { isReadable, readEnvoyGatewayConfig } from '../../../functions/judgement/envoy-gateway-config.ts';
import { CONTROLLER, envoyGatewayConfig } from '../../builders/cluster.ts';

const read = (text: string) => readEnvoyGatewayConfig(envoyGatewayConfig({ text })).settings;

describe('what it says', () => {
  const defaults = {
    ...{ controllerName: CONTROLLER, gatewayNamespaceMode: false },
    ...{ defaultProxy: undefined, rateLimit: undefined },
  };
  const limiting = 'kind: EnvoyGateway\nrateLimit: {backend: {type: Redis}}\nprovider: {kubernetes: {';
  test.each<[string, string, object]>([
    ['nothing: the defaults', 'kind: EnvoyGateway', defaults],
    ['everything null', 'kind: EnvoyGateway\ngateway:\nprovider:\nenvoyProxy:\n', defaults],
    ['no controllerName', 'kind: EnvoyGateway\ngateway: {}', defaults],
    ['an empty controllerName', 'kind: EnvoyGateway\ngateway: {controllerName: ""}', defaults],
    ['a controllerName', 'kind: EnvoyGateway\ngateway: {controllerName: a/b}', { ...defaults, controllerName: 'a/b' }],
    [
      'ControllerNamespace mode',
      'kind: EnvoyGateway\nprovider: {kubernetes: {deploy: {type: ControllerNamespace}}}',
      defaults,
    ],
    [
      'GatewayNamespace mode',
      'kind: EnvoyGateway\nprovider: {kubernetes: {deploy: {type: GatewayNamespace}}}',
      { ...defaults, gatewayNamespaceMode: true },
    ],
    ['an empty default', 'kind: EnvoyGateway\nenvoyProxy: {}', { ...defaults, defaultProxy: {} }],
    [
      'a default',
      'kind: EnvoyGateway\nenvoyProxy: {mergeGateways: true}',
      { ...defaults, defaultProxy: { mergeGateways: true } },
    ],
    [
      'YAML 1.1 booleans',
      'kind: EnvoyGateway\nenvoyProxy: {mergeGateways: yes}',
      { ...defaults, defaultProxy: { mergeGateways: true } },
    ],
    [
      'a rate limit service, and nothing of how it runs',
      `${limiting}}}`,
      { ...defaults, rateLimit: { hpa: undefined, deployment: undefined } },
    ],
    [
      'a rate limit service with autoscaling',
      `${limiting}rateLimitHpa: {}}}`,
      { ...defaults, rateLimit: { hpa: {}, deployment: undefined } },
    ],
    [
      'a rate limit service, rateLimitHpa null, and its replicas',
      `${limiting}rateLimitHpa: , rateLimitDeployment: {name: limiter, replicas: 2, pod: {}}}}`,
      { ...defaults, rateLimit: { hpa: undefined, deployment: { name: 'limiter', replicas: 2 } } },
    ],
    [
      'a rate limit service, and how its HPA is called',
      `${limiting}rateLimitHpa: {name: limiter, maxReplicas: 5, patch: {type: JSONMerge, value: {a: 1}}}}}`,
      { ...defaults, rateLimit: { hpa: { name: 'limiter', patch: { value: { a: 1 } } }, deployment: undefined } },
    ],
    [
      'autoscaling of a rate limit service that is not configured',
      'kind: EnvoyGateway\nprovider: {kubernetes: {rateLimitHpa: {}}}',
      defaults,
    ],
    ['rateLimit null', 'kind: EnvoyGateway\nrateLimit:\nprovider: {kubernetes: {rateLimitHpa: {}}}', defaults],
    [
      'a name that looks like a number',
      'kind: EnvoyGateway\nenvoyProxy: {provider: {kubernetes: {envoyHpa: {name: e5}}}}',
      { ...defaults, defaultProxy: { provider: { kubernetes: { envoyHpa: { name: 'e5' } } } } },
    ],
    [
      'anchors and merge keys',
      'kind: EnvoyGateway\nx: &x {mergeGateways: on}\nenvoyProxy: {<<: *x}',
      { ...defaults, defaultProxy: { mergeGateways: true } },
    ],
  ])('%s', (_, text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  test('fields that are not read do no harm', () => {
    const text =
      'kind: EnvoyGateway\nlogging: {}\nenvoyProxy: {mergeGateways: true, bootstrap: {type: Merge}, telemetry: []}';
    expect(read(text)).toMatchObject({ ...defaults, defaultProxy: { mergeGateways: true } });
  });
});

describe('what cannot be read is said, never guessed', () => {
  const good = 'kind: EnvoyGateway\n';
  test.each<[string, string, string]>([
    ['no text', '', 'envoy-gateway.yaml is not a valid EnvoyGateway: : '],
    ['a scalar', 'EnvoyGateway', 'envoy-gateway.yaml is not a valid EnvoyGateway: : '],
    ['a list', '- kind: EnvoyGateway', 'envoy-gateway.yaml is not a valid EnvoyGateway'],
    ['no kind', 'gateway: {}', 'envoy-gateway.yaml is not a valid EnvoyGateway: kind: '],
    ['another kind', 'kind: EnvoyProxy', 'envoy-gateway.yaml is not a valid EnvoyGateway: kind: '],
    ['a flow that does not end', `${good}envoyProxy: {`, 'envoy-gateway.yaml is not valid YAML: '],
    [
      'a syntax error after what would do',
      `${good}gateway: {}\nenvoyProxy: @\n`,
      'envoy-gateway.yaml is not valid YAML: ',
    ],
    [
      'wrong indentation',
      `${good}gateway:\n  controllerName: a\n envoyProxy: {}\n`,
      'envoy-gateway.yaml is not valid YAML: ',
    ],
    [
      'a key twice',
      `${good}envoyProxy: {mergeGateways: true}\nenvoyProxy: {}\n`,
      'envoy-gateway.yaml is not valid YAML: ',
    ],
    ['two documents', `${good}---\n${good}`, 'envoy-gateway.yaml is not valid YAML: '],
    ['a tab for indentation', `${good}gateway:\n\tcontrollerName: a\n`, 'envoy-gateway.yaml is not valid YAML: '],
    ['an alias of nothing', `${good}envoyProxy: *x`, 'envoy-gateway.yaml is not valid YAML: '],
    ['a controllerName of another shape', `${good}gateway: {controllerName: [a]}`, 'gateway.controllerName: '],
    [
      'a mode that is not known',
      `${good}provider: {kubernetes: {deploy: {type: Elsewhere}}}`,
      'provider.kubernetes.deploy.type: ',
    ],
    ['a default of another shape', `${good}envoyProxy: none`, 'envoyProxy: '],
    ['a mergeType that is not known', `${good}envoyProxy: {mergeType: Deep}`, 'envoyProxy.mergeType: '],
    [
      'an envoyHpa of another shape',
      `${good}envoyProxy: {provider: {kubernetes: {envoyHpa: true}}}`,
      'envoyProxy.provider.kubernetes.envoyHpa: ',
    ],
    ['a mergeGateways of another shape', `${good}envoyProxy: {mergeGateways: "true"}`, 'envoyProxy.mergeGateways: '],
  ])('%s', (_, text, fault) => {
    const settings = read(text);
    expect(isReadable(settings)).toBe(false);
    expect(settings).toEqual({ unreadable: expect.stringContaining(fault) });
    expect((settings as { unreadable: string }).unreadable).not.toContain('\n');
  });

  test.each([
    ['another key', { 'other.yaml': 'kind: EnvoyGateway' }],
    ['no data', null],
  ])('a ConfigMap with %s', (_, data) => {
    const { settings, configMap } = readEnvoyGatewayConfig({ ...envoyGatewayConfig(), data });
    expect(settings).toEqual({ unreadable: 'it has no key envoy-gateway.yaml' });
    expect(configMap.metadata.name).toBe('envoy-gateway-config');
  });
});
