import { type ClientRequest, Agent as HttpAgent } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import { BlockList, isIP } from 'node:net';
import process from 'node:process';
import { Agent, type AgentConnectOpts } from 'agent-base';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { SocksProxyAgent } from 'socks-proxy-agent';
import { UsageError } from '../../platform/errors.ts';
import { parsedUrl } from '../../platform/url.ts';

/**
 * Connects through the proxy of a kubeconfig, or else of HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and keeps the connections. Like
 * kubectl, it reaches the loopback interface directly.
 */
export class ProxyAgent extends Agent {
  readonly #options: AgentOptions;
  readonly #proxy: string | undefined;
  readonly #agents = new Map<string, HttpAgent>();

  /**
   * @param options of TLS connections to the server
   * @param proxy the URL of the proxy (http, https, socks5) for every server, whatever the environment says
   */
  constructor(options: AgentOptions = {}, proxy?: string) {
    const kept = { ...options, keepAlive: true, maxSockets: 50 };
    super(kept);
    this.#options = kept;
    this.#proxy = proxy;
  }

  override connect(_request: ClientRequest, { secureEndpoint, host = '', port }: AgentConnectOpts): HttpAgent {
    const proxy = this.#proxy ?? proxyOfEnvironment(secureEndpoint ? 'https' : 'http', host, port);
    const key = `${secureEndpoint} ${proxy}`;
    const agent = this.#agents.get(key) ?? this.#create(secureEndpoint, proxy);
    this.#agents.set(key, agent);
    return agent;
  }

  #create(isSecure: boolean, proxy: string): HttpAgent {
    if (proxy === '')
      return isSecure ? new HttpsAgent(this.#options) : new HttpAgent({ keepAlive: true, maxSockets: 50 });
    // Like kubectl, has the proxy resolve names: it may be the only one that can.
    if (proxy.startsWith('socks')) return new SocksProxyAgent(proxy.replace(/^socks5:/, 'socks5h:'), this.#options);
    return isSecure ? new HttpsProxyAgent(proxy, this.#options) : new HttpProxyAgent(proxy, { keepAlive: true });
  }

  override destroy(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    super.destroy();
  }
}

/**
 * The proxy that the environment names for a server; '' for none. The rules are those of Go, and so of kubectl
 * (https://pkg.go.dev/golang.org/x/net/http/httpproxy): a name in NO_PROXY includes its subdomains.
 */
function proxyOfEnvironment(scheme: 'http' | 'https', host: string, port: number | string | null | undefined): string {
  const proxy = fromEnvironment(`${scheme}_proxy`);
  if (proxy === '' || isIn(host, LOOPBACK)) return '';
  const excluded = fromEnvironment('no_proxy').toLowerCase().split(',');
  if (excluded.some((entry) => matches(entry.trim(), host.toLowerCase(), Number(port)))) return '';
  const url = proxy.includes('://') ? proxy : `http://${proxy}`;
  if (/^(https?|socks(4a?|5h?)?):$/.test(parsedUrl(url)?.protocol ?? '')) return url;
  // Without the value, which may contain a password.
  throw new UsageError(
    `${scheme.toUpperCase()}_PROXY is not the URL of a proxy: write http://HOST:PORT or socks5://HOST:PORT`,
  );
}

const LOOPBACK = ['127.0.0.0/8', '::1/128', 'localhost'];

const fromEnvironment = (name: string) => process.env[name.toUpperCase()] || process.env[name] || '';

/** @param entry of NO_PROXY: `*`, a range of addresses, or a name or address with or without a port */
function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  const [, name = entry, onlyPort] = isIP(entry) === 0 ? (/^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(entry) ?? []) : [];
  if (name === '' || (onlyPort && Number(onlyPort) !== port)) return false;
  const domain = name.replace(/^\*\./, '.');
  return isIn(host, [name]) || (isIP(host) === 0 && host.endsWith(domain.startsWith('.') ? domain : `.${domain}`));
}

/** @param names of hosts, addresses, or ranges of addresses in CIDR notation */
function isIn(host: string, names: readonly string[]): boolean {
  const list = new BlockList();
  const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
  for (const name of names) {
    const [network = '', bits = ''] = name.split('/');
    const isRange = /^\d+$/.test(bits) && Number(bits) <= { 0: -1, 4: 32, 6: 128 }[isIP(network) as 0 | 4 | 6];
    if (isRange) list.addSubnet(network, Number(bits), familyOf(network));
  }
  return names.includes(host) || (isIP(host) !== 0 && list.check(host, familyOf(host)));
}
