import { type ClientRequest, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { SocksProxyAgent } from 'socks-proxy-agent';
import { afterEach, expect, test, vi } from 'vitest';
import { ProxyAgent } from '../../../functions/cli/input/proxy-agent.ts';

// test/contract/kubeconfig.ts shows what arrives at a proxy, for the real kubectl too.

afterEach(() => void vi.unstubAllEnvs());

const PROXY = { HTTPS_PROXY: 'http://proxy:3128', HTTP_PROXY: 'http://proxy:3128' };
const agentTo = (host: string, secureEndpoint = true, proxy?: string) =>
  new ProxyAgent({}, proxy).connect({} as ClientRequest, { secureEndpoint, host, port: 6443 });

const KINDS = {
  'through the proxy': [HttpProxyAgent, HttpsProxyAgent],
  directly: [HttpAgent, HttpsAgent],
} as const;

test.each<[string, keyof typeof KINDS, boolean, Record<string, string>]>([
  ['api.example.com', 'through the proxy', true, PROXY],
  ['api.example.com', 'through the proxy', false, PROXY],
  ['api.example.com', 'directly', true, {}],
  ['api.example.com', 'directly', true, { HTTP_PROXY: 'http://proxy:3128' }],
  ['api.example.com', 'directly', false, { HTTPS_PROXY: 'http://proxy:3128' }],
  ['api.example.com', 'directly', true, { ...PROXY, NO_PROXY: '.example.com' }],
  ['api.example.com', 'directly', true, { ...PROXY, NO_PROXY: 'example.com' }],
  ['api.example.com', 'directly', true, { ...PROXY, NO_PROXY: '*.Example.com' }],
  ['API.example.com', 'directly', true, { ...PROXY, NO_PROXY: 'api.example.com:6443' }],
  ['api.example.com', 'directly', true, { ...PROXY, NO_PROXY: 'other,*' }],
  ['api.example.com', 'through the proxy', true, { ...PROXY, NO_PROXY: 'api.example.com:443' }],
  ['example.com', 'through the proxy', true, { ...PROXY, NO_PROXY: '.example.com' }],
  ['myexample.com', 'through the proxy', true, { ...PROXY, NO_PROXY: 'example.com,' }],
  ['api.example.com', 'through the proxy', true, { HTTPS_PROXY: 'proxy:3128' }],
  ['10.1.2.3', 'directly', true, { ...PROXY, NO_PROXY: '10.1.2.3:6443' }],
  ['fd00::1', 'directly', true, { ...PROXY, NO_PROXY: 'fd00::1' }],
  ['10.1.2.3', 'directly', true, { ...PROXY, NO_PROXY: 'example.com, 10.0.0.0/8' }],
  ['10.1.2.3', 'directly', true, { ...PROXY, no_proxy: '10.1.2.3' }],
  ['11.1.2.3', 'through the proxy', true, { ...PROXY, NO_PROXY: '10.0.0.0/8' }],
  ['fd00::1', 'directly', true, { ...PROXY, NO_PROXY: 'fd00::/8' }],
  ['10.1.2.3', 'through the proxy', true, { ...PROXY, NO_PROXY: 'nonsense/8,10.0.0.0/x,10.0.0.0/33' }],
  ['localhost', 'directly', true, PROXY],
  ['127.0.0.53', 'directly', true, PROXY],
  ['::1', 'directly', true, PROXY],
])('connects to %s %s (TLS: %j, environment: %j)', (host, way, secureEndpoint, env) => {
  for (const name of ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']) {
    vi.stubEnv(name, env[name] ?? '');
    vi.stubEnv(name.toLowerCase(), env[name.toLowerCase()]);
  }
  expect(agentTo(host, secureEndpoint).constructor).toBe(KINDS[way][Number(secureEndpoint)]);
});

test.each(['http://', 'http://jane:secret@:x', 'ftp://proxy', 'socks5a://proxy', '://'])(
  'refuses the proxy %s, without quoting it',
  (proxy) => {
    vi.stubEnv('HTTPS_PROXY', proxy);
    vi.stubEnv('NO_PROXY', '');
    expect(() => agentTo('api.example.com')).toThrow(/^HTTPS_PROXY is not the URL of a proxy: write /);
  },
);

test('prefers the proxy of a kubeconfig, and keeps one agent for each proxy', () => {
  vi.stubEnv('NO_PROXY', '*');
  expect(agentTo('localhost', true, 'socks5://proxy:1080').constructor).toBe(SocksProxyAgent);
  const agent = new ProxyAgent({}, 'http://proxy:3128');
  const connect = () => agent.connect({} as ClientRequest, { secureEndpoint: true, host: 'a', port: 1 });
  expect(connect()).toBe(connect());
});
