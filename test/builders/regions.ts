import { readFileSync } from 'node:fs';

/** The Regions of every partition that the AWS SDK knows, by partition. */
export function regionsByPartition(): [partition: string, regions: string[]][] {
  const text = readFileSync(
    'node_modules/@aws-sdk/core/dist-es/submodules/client/util-endpoints/lib/aws/partitions.js',
    'utf8',
  );
  const { partitions } = JSON.parse(/{.*}/s.exec(text)?.[0] ?? '') as {
    partitions: { id: string; regions: Record<string, unknown> }[];
  };
  // Endpoints of services without Regions are listed like a Region.
  return partitions.map(({ id, regions }) => [id, Object.keys(regions).filter((one) => !one.endsWith('-global'))]);
}
