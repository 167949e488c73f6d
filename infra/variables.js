// The TypeScript that serverless.yml takes values from; osls reads variables from .js files only.
import { readConfiguration } from './configuration.ts';
import { subscriptionFilters } from './subscription-filters.ts';

export const configuration = readConfiguration();
export const filters = subscriptionFilters(configuration.clusters);
