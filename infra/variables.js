// The TypeScript that serverless.yml takes values from; osls reads variables from .js files only.
import { readConfiguration } from './configuration.ts';
import { stackParameters } from './parameters.ts';
import { subscriptionFilters } from './subscription-filters.ts';

export const configuration = readConfiguration();
export const parameters = stackParameters(configuration);
export const filters = subscriptionFilters(configuration.clusters);
