import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What was packaged with one configuration: its folder holds template.json and the zip files. */
export interface Packaging {
  configuration: string;
  folder: string;
}

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation
type Free = any;
export type Resource = {
  Type: string;
  Condition?: string;
  Properties: Free;
  Metadata?: Free;
  DependsOn?: string | string[];
};

export interface Template {
  Metadata?: object;
  Parameters: Record<string, object>;
  Resources: Record<string, Resource>;
  Outputs: Record<string, object>;
}

export const templateFile = ({ folder }: Packaging) => join(folder, 'template.json');

export const readTemplate = (packaging: Packaging): Template =>
  JSON.parse(readFileSync(templateFile(packaging), 'utf8'));

export const resourcesOf = ({ Resources }: Template, type: string) =>
  Object.entries(Resources).filter(([, { Type }]) => Type === type);

/** The names of the zip files that a template refers to. */
export const zipsOf = (template: Template): string[] => JSON.stringify(template).match(/\w+-[0-9a-f]{64}\.zip/g) ?? [];
