// The values that serverless.yml takes from TypeScript; osls reads variables from .js files only.
import { dashboardBody } from './dashboard.ts';
import { readConfiguration, stackParameters } from './settings.ts';
import { subscriptionFilters } from './subscription-filters.ts';

export const configuration = readConfiguration();
export const parameters = stackParameters(configuration);
export const dashboard = dashboardBody();
export const filters = subscriptionFilters(configuration);
export const allowedClusters = configuration.clusters.join(',');
export const controllerNamespaces = configuration.controllerNamespaces.join(',');
