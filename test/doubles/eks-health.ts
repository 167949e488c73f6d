import type { IncomingMessage } from 'node:http';
import { EksDouble } from './eks.ts';
import { refusal, type ServiceAnswer } from './service-double.ts';

/** Answers, besides DescribeCluster, ListClusters and DescribeAccessEntry as Amazon EKS does (REST, JSON). */
export class EksHealthDouble extends EksDouble {
  /** What DescribeCluster says of a cluster beside what `clusters` holds, in the shape of its answer. */
  readonly details = new Map<string, Record<string, unknown>>();
  /** The Kubernetes groups of each access entry, by `<cluster> <principal ARN>`. */
  readonly accessEntries = new Map<string, string[]>();
  /** Calls that the credentials do not allow: `ListClusters`, or `DescribeAccessEntry <cluster>`. */
  readonly denied = new Set<string>();
  /** Every request, as `GET /clusters`. */
  readonly requests: string[] = [];

  protected override answer(
    request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
    body: string,
    failure: ServiceAnswer | undefined,
  ): ServiceAnswer {
    const path = (request.url ?? '').split('?')[0] ?? '';
    this.requests.push(`${request.method} ${path}`);
    const [, , name = '', kind, principal = ''] = path.split('/').map(decodeURIComponent);
    const call = kind === 'access-entries' ? 'DescribeAccessEntry' : name === '' ? 'ListClusters' : 'DescribeCluster';
    if (failure === undefined && this.denied.has(`${call} ${name}`.trim()))
      return refusal(403, 'AccessDeniedException');
    if (failure === undefined && call === 'ListClusters') {
      return { status: 200, body: { clusters: [...this.clusters.keys()] } };
    }
    if (failure === undefined && call === 'DescribeAccessEntry') return this.#accessEntry(name, principal);
    const answer = super.answer({ ...request, url: path }, body, failure);
    const { cluster } = answer.body as { cluster?: object };
    return cluster === undefined ? answer : { ...answer, body: { cluster: { ...cluster, ...this.details.get(name) } } };
  }

  #accessEntry(clusterName: string, principalArn: string): ServiceAnswer {
    const kubernetesGroups = this.accessEntries.get(`${clusterName} ${principalArn}`);
    if (kubernetesGroups === undefined) return refusal(404, 'ResourceNotFoundException');
    return { status: 200, body: { accessEntry: { clusterName, principalArn, kubernetesGroups, type: 'STANDARD' } } };
  }
}
