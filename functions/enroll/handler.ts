import { eksClusterDirectory } from '../aws/cluster-directory.ts';
import { enrollmentClients } from '../aws/enrollment-clients.ts';
import { lambdaHandler } from '../platform/lambda.ts';
import { createHandler, enrollConfigSchema } from './enroll.ts';

export const handler = lambdaHandler('enroll', enrollConfigSchema, 'enrollment failed', (wiring) => {
  const region = wiring.config.AWS_REGION;
  const { entries, filters } = enrollmentClients({ region });
  return createHandler({
    ...wiring,
    directory: eksClusterDirectory(region),
    entries,
    filters,
    now: () => new Date(),
  });
});
