// An embedded cluster of many objects in a process of its own, so that its memory is not counted where one measures. Given
// the size as JSON; prints where it is, and ends with its standard input.
import process from 'node:process';
import { type LargeCluster, largeCluster } from '../builders/large-cluster.ts';
import { admin, startEmbeddedCluster } from '../embedded-cluster/embedded-cluster.ts';

const size = JSON.parse(process.argv[2] ?? '') as LargeCluster;
const cluster = await startEmbeddedCluster({ users: () => admin, record: false });
cluster.load({ items: largeCluster(size) });
process.stdout.write(`${JSON.stringify({ url: cluster.url, caCertificate: cluster.caCertificate })}\n`);
process.stdin.resume().once('end', () => void cluster.close());
