import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is read here of a CloudFormation template. */
export interface Template {
  Description?: string;
  Metadata?: { Tags?: Record<string, string> };
  Parameters?: Record<string, Parameter>;
  Resources: Record<string, Resource>;
  Outputs?: Record<string, object>;
}

interface Parameter {
  Type: string;
  Default?: string | number;
  AllowedPattern?: string;
}

interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
  Metadata?: Record<string, unknown>;
}

/** Under `ArtifactPrefix` in `ArtifactBucket`, unless said otherwise. */
export const DEFAULT_PREFIX = 'envoy-hpa-reaper/';

/** Of `ArtifactPrefix`. */
export const PREFIX_PATTERN = '^([0-9A-Za-z._-]+/)*$';

const PARAMETERS = {
  ArtifactBucket: {
    Type: 'String',
    Description: 'The S3 bucket, in the Region of this stack, that holds the zip files of the functions',
    AllowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
    ConstraintDescription: 'the name of an S3 bucket',
  },
  ArtifactPrefix: {
    Type: 'String',
    Default: DEFAULT_PREFIX,
    Description: 'What the keys of the zip files begin with: nothing, or folders, each with a slash behind it',
    AllowedPattern: PREFIX_PATTERN,
    ConstraintDescription: 'nothing, or folders, each with a slash behind it',
  },
};

const isOff = (parameter: string) => ({ 'Fn::Equals': [{ Ref: parameter }, 'off'] });
const BOTH_OR_NEITHER = 'SubnetIds and SecurityGroupIds: give both or neither';

/** What CloudFormation refuses before it does anything. osls knows no such section. */
const RULES = {
  SubnetsHaveSecurityGroups: {
    RuleCondition: isOff('SecurityGroupIds'),
    Assertions: [{ Assert: isOff('SubnetIds'), AssertDescription: BOTH_OR_NEITHER }],
  },
  SecurityGroupsHaveSubnets: {
    RuleCondition: isOff('SubnetIds'),
    Assertions: [{ Assert: isOff('SecurityGroupIds'), AssertDescription: BOTH_OR_NEITHER }],
  },
};

// biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's Fn::Sub fills it in
const CODE_KEY = '${ArtifactPrefix}';

/**
 * The template that anybody can deploy: osls' own bucket is left out, the functions' code comes from the parameters
 * `ArtifactBucket` and `ArtifactPrefix`, and a zip file's key changes exactly when its content does.
 *
 * @param packaged what osls packaged
 * @param keyOf the key, after the prefix, of a zip file that osls named
 * @throws {Error} when osls packages otherwise than this takes for granted
 */
export function deployableTemplate(packaged: Template, keyOf: (zip: string) => string): Template {
  const resources = Object.entries(packaged.Resources)
    .filter(([id]) => !id.startsWith(OSLS_BUCKET))
    .map(([id, resource]) => [id, withCode(resource, keyOf)]);
  const outputs = Object.entries(packaged.Outputs ?? {}).filter(([id]) => !id.startsWith(OSLS_BUCKET));
  const template = {
    ...packaged,
    Parameters: { ...PARAMETERS, ...packaged.Parameters },
    Rules: RULES,
    Resources: Object.fromEntries(resources),
    Outputs: Object.fromEntries(outputs),
  };
  if (JSON.stringify(template).includes(OSLS_BUCKET)) {
    throw new Error(`the packaged template still refers to ${OSLS_BUCKET}; mend infra/template.ts`);
  }
  return template;
}

/** The bucket, its policy, and the output with its name. */
const OSLS_BUCKET = 'ServerlessDeploymentBucket';

function withCode(resource: Resource, keyOf: (zip: string) => string): Resource {
  const code = resource.Properties.Code as { S3Key?: string };
  if (resource.Type !== 'AWS::Lambda::Function' || code?.S3Key === undefined) return resource;
  const zip = code.S3Key.split('/').at(-1) ?? '';
  const Code = { S3Bucket: { Ref: 'ArtifactBucket' }, S3Key: { 'Fn::Sub': `${CODE_KEY}${keyOf(zip)}` } };
  return { ...resource, Properties: { ...resource.Properties, Code } };
}

/** The zip files that a deployable template refers to: their keys without the prefix, which are also their file names. */
export function zipsOf({ Resources }: Template): string[] {
  const keys = Object.values(Resources).map(({ Properties }) => {
    const code = Properties?.Code as { S3Key?: { 'Fn::Sub'?: string } };
    return code?.S3Key?.['Fn::Sub']?.slice(CODE_KEY.length);
  });
  return keys.filter((key) => key !== undefined);
}

/**
 * Makes `template.json` and the functions' zip files, each named by its SHA-256, out of what osls packaged.
 *
 * @param from the folder that osls packaged into
 * @param to the folder that gets them, and keeps none of an earlier packaging
 */
export function writeDeployable(from: string, to: string): void {
  const packaged = JSON.parse(
    readFileSync(join(from, 'cloudformation-template-update-stack.json'), 'utf8'),
  ) as Template;
  const template = deployableTemplate(packaged, (zip) => {
    const content = readFileSync(join(from, zip));
    return zip.replace(/\.zip$/, `-${createHash('sha256').update(content).digest('hex')}.zip`);
  });
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(to).filter((name) => NAMED_BY_HASH.test(name))) rmSync(join(to, file));
  for (const zip of zipsOf(template)) copyFileSync(join(from, zip.replace(NAMED_BY_HASH, '.zip')), join(to, zip));
  writeFileSync(join(to, 'template.json'), `${JSON.stringify(template, null, 2)}\n`);
}

const NAMED_BY_HASH = /-[0-9a-f]{64}\.zip$/;
