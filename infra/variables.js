// The TypeScript that serverless.yml takes values from; osls reads variables from .js files only.
import { alarmResources } from './alarms.ts';
import { readConfiguration } from './configuration.ts';
import { dashboardBody } from './dashboard.ts';
import { stackParameters } from './parameters.ts';
import { queryDefinitions } from './queries.ts';
import { subscriptionFilters } from './subscription-filters.ts';

export const configuration = readConfiguration();
export const parameters = stackParameters(configuration);
export const alarms = alarmResources();
export const dashboard = dashboardBody();
export const queries = queryDefinitions();
// With enrollment the list is only who may be enrolled; without it, the stack itself has the filters.
export const filters = subscriptionFilters(configuration.enrollment === 'off' ? configuration.clusters : []);
export const allowedClusters = configuration.clusters.join(',');
export const controllerNamespaces = configuration.controllerNamespaces.join(',');
