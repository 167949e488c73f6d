import {
  DELETED_DETAIL_TYPE,
  HELD_BACK_DETAIL_TYPE,
  MISSING_DETAIL_TYPE,
  type OutcomeDetailType,
  UNREACHABLE_DETAIL_TYPE,
} from '../functions/events/outcome-event.ts';

/** A query of CloudWatch Logs Insights over the log group of the outcomes. */
interface Query {
  readonly name: string;
  readonly detailType: OutcomeDetailType;
  /** What follows the filter of the detail-type. */
  readonly commands: readonly string[];
}

const HPA = 'concat(detail.hpa.namespace, "/", detail.hpa.name) as hpa';

/** Sums up events that each sweep publishes again for as long as nothing changes. */
const latest = (explanation: string, ...by: string[]) => [
  `stats count(*) as sweeps, max(@timestamp) as last, latest(${explanation}) as why by ${by.join(', ')}`,
  'sort last desc',
  'limit 1000',
];

/** The saved queries. Their names appear in the folder envoy-hpa-reaper of CloudWatch Logs Insights. */
export const QUERIES = {
  DeletedHpas: {
    name: 'Deleted HPAs',
    detailType: DELETED_DETAIL_TYPE,
    commands: [
      `fields @timestamp, detail.cluster as cluster, ${HPA}, detail.hpa.reason as reason, detail.hpa.explanation as why, detail.changes.0.username as changed_by`,
      'sort @timestamp desc',
      'limit 1000',
    ],
  },
  HeldBackHpas: {
    name: 'HPAs held back',
    detailType: HELD_BACK_DETAIL_TYPE,
    commands: [
      `fields ${HPA}`,
      ...latest('detail.hpa.guard.explanation', 'detail.cluster', 'hpa', 'detail.hpa.reason', 'detail.hpa.guard.name'),
    ],
  },
  MissingHpas: {
    name: 'Missing HPAs',
    detailType: MISSING_DETAIL_TYPE,
    commands: [`fields ${HPA}`, ...latest('detail.hpa.explanation', 'detail.cluster', 'hpa', 'detail.hpa.remedy')],
  },
  ClustersNotSwept: {
    name: 'Clusters that could not be swept',
    detailType: UNREACHABLE_DETAIL_TYPE,
    commands: latest('detail.message', 'detail.cluster', 'detail.region', 'detail.reason', 'detail.remedy'),
  },
} satisfies Record<string, Query>;

export const queryString = ({ detailType, commands }: Query): string =>
  [`filter \`detail-type\` = "${detailType}"`, ...commands].join('\n| ');

/** The `AWS::Logs::QueryDefinition`s, by logical ID. */
export const queryDefinitions = () =>
  Object.fromEntries(
    Object.entries(QUERIES).map(([id, query]) => [
      `${id}Query`,
      {
        Type: 'AWS::Logs::QueryDefinition',
        Properties: {
          Name: `envoy-hpa-reaper/${query.name}`,
          LogGroupNames: [{ Ref: 'OutcomeLogGroup' }],
          QueryString: queryString(query),
        },
      },
    ]),
  );
