import { type ClientRequest, Agent as HttpAgent } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import { BlockList, isIP } from 'node:net';
import process from 'node:process';
import { Agent, type AgentConnectOpts } from 'agent-base';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { SocksProxyAgent } from 'socks-proxy-agent';

/**
 * Connects through the proxy of a kubeconfig, or else of HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and keeps the connections. Like
 * kubectl, it reaches the loopback interface directly, and NO_PROXY may have ranges of addresses (10.0.0.0/8).
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

/** @returns '' without a proxy for this server */
function proxyOfEnvironment(scheme: 'http' | 'https', host: string, port: number | string | null | undefined): string {
  const version = isIP(host);
  if (host === 'localhost' || (version !== 0 && isIn(host, ['127.0.0.0/8', '::1/128']))) return '';
  const ranges = (process.env.no_proxy ?? process.env.NO_PROXY ?? '')
    .split(/[\s,]+/)
    .filter((one) => one.includes('/'));
  if (version !== 0 && isIn(host, ranges)) return '';
  return getProxyForUrl(`${scheme}://${version === 6 ? `[${host}]` : host}:${port}`);
}

/** @param ranges in CIDR notation; others are ignored */
function isIn(address: string, ranges: readonly string[]): boolean {
  const list = new BlockList();
  const familyOf = (text: string) => (isIP(text) === 6 ? 'ipv6' : 'ipv4');
  for (const range of ranges) {
    const [network = '', bits = ''] = range.split('/');
    if (isIP(network) !== 0 && /^\d{1,3}$/.test(bits)) list.addSubnet(network, Number(bits), familyOf(network));
  }
  return list.check(address, familyOf(address));
}
