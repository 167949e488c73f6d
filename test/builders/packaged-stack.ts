import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Configuration } from '../../infra/settings.ts';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation
type Free = any;
export interface Resource {
  Type: string;
  Properties: Free;
  DependsOn?: string[];
  Condition?: string;
  Metadata?: Free;
}

export interface Template {
  Resources: Record<string, Resource>;
  Conditions: Record<string, unknown>;
  Parameters: Record<string, Record<string, unknown>>;
  Rules: Record<string, unknown>;
  Outputs: Record<string, object>;
  Metadata?: object;
}

/** The settings of the packaged stack: no value is a default. */
export const CONFIGURATION: Configuration = {
  enrollment: 'off',
  clusters: ['shop', 'shop-2'],
  controllerNamespaces: ['eg', 'eg-2'],
  mode: 'report',
  maxDeletions: 7,
  maxDeletionsPerRun: 8,
  sweepSchedule: 'rate(2 hours)',
  sweepAlarmHours: 5,
  settleHpaSeconds: 11,
  settleConfigSeconds: 12,
  delaySeconds: 20,
  batchSize: 9,
  batchWindowSeconds: 10,
  concurrency: 7,
  logRetentionDays: 30,
  outcomeRetentionDays: 731,
  notifyEmail: 'sre@example.com',
  tracing: 'active',
  logLevel: 'DEBUG',
  kmsKeyArn: 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  subnetIds: ['subnet-0a1b2c3d', 'subnet-0a1b2c3d4e5f67890'],
  securityGroupIds: ['sg-0a1b2c3d'],
  permissionsBoundary: 'arn:aws:iam::123456789012:policy/boundary',
  tags: { team: 'platform', 'cost center': '42' },
};

export const templateFile = (folder: string) => join(folder, 'template.json');

export const readTemplate = (folder: string): Template => JSON.parse(readFileSync(templateFile(folder), 'utf8'));

/** The resources of a type, with their logical IDs. */
export const resourcesOf = ({ Resources }: Template, type: string) =>
  Object.entries(Resources).filter(([, { Type }]) => Type === type);

/** The properties of a resource, by its logical ID. */
export function propertiesOf({ Resources }: Template, id: string): Free {
  if (Resources[id] === undefined) throw new Error(`the template has no ${id}`);
  return Resources[id].Properties;
}

/** The template that the global setup of the project `infra` packaged. */
export function packagedStack() {
  const template = readTemplate(inject('packaged'));
  return {
    ...template,
    text: readFileSync(templateFile(inject('packaged')), 'utf8'),
    of: (type: string) => resourcesOf(template, type),
    properties: (id: string) => propertiesOf(template, id),
  };
}

/** A part of a template where every condition is true, or false: each `Fn::If` decided, and without `AWS::NoValue`. */
export function decided<Part>(part: Part, conditions: boolean): Part {
  if (Array.isArray(part)) {
    return part.map((one) => decided(one, conditions)).filter((one) => one !== undefined) as Part;
  }
  if (typeof part !== 'object' || part === null) return part;
  if ('Fn::If' in part) return decided((part['Fn::If'] as Part[])[conditions ? 1 : 2] as Part, conditions);
  if ('Ref' in part && part.Ref === 'AWS::NoValue') return undefined as Part;
  const entries = Object.entries(part).map(([key, value]) => [key, decided(value, conditions)]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Part;
}
