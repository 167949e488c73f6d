import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts of a CloudFormation template that are used here. */
export interface Template {
  Description?: string;
  Metadata?: { Tags?: Record<string, string> };
  Parameters?: Record<string, { Type: string; Default?: string | number; AllowedPattern?: string }>;
  Resources: Record<string, { Type: string; Properties: Record<string, unknown>; Metadata?: object }>;
  Outputs?: Record<string, object>;
}

const PARAMETERS = {
  ArtifactBucket: {
    Type: 'String',
    Description: 'S3 bucket in the Region of this stack that contains the zip files of the functions',
    AllowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
    ConstraintDescription: 'the name of an S3 bucket',
  },
  ArtifactPrefix: {
    Type: 'String',
    Default: 'envoy-hpa-reaper/',
    Description: 'Prefix of the keys of the zip files: folders with a trailing slash, or empty',
    AllowedPattern: '^([0-9A-Za-z._-]+/)*$',
    ConstraintDescription: 'folders with a trailing slash, or empty',
  },
};

const isOff = (parameter: string) => ({ 'Fn::Equals': [{ Ref: parameter }, 'off'] });
const requires = (parameter: string, other: string) => ({
  RuleCondition: isOff(other),
  Assertions: [{ Assert: isOff(parameter), AssertDescription: `${parameter} needs ${other}: set both or neither` }],
});

/** Checked by CloudFormation before a deployment. osls does not support this section. */
const RULES = {
  SubnetsHaveSecurityGroups: requires('SubnetIds', 'SecurityGroupIds'),
  SecurityGroupsHaveSubnets: requires('SecurityGroupIds', 'SubnetIds'),
};

// biome-ignore lint/suspicious/noTemplateCurlyInString: Fn::Sub of CloudFormation replaces it
const CODE_KEY = '${ArtifactPrefix}';

/** The prefix of the IDs of the bucket, its policy, and the output with its name. */
const OSLS_BUCKET = 'ServerlessDeploymentBucket';

/**
 * A template that does not need osls: without its bucket, and with the code of the functions under the parameters `ArtifactBucket`
 * and `ArtifactPrefix`. The key of a zip file changes exactly when its content does.
 *
 * @param packaged the template of osls
 * @param keyOf the key, without the prefix, of a zip file of osls
 * @throws {Error} when something else refers to the bucket of osls
 */
export function deployableTemplate(packaged: Template, keyOf: (zip: string) => string): Template {
  const own = <Part>(parts: Record<string, Part> = {}) =>
    Object.fromEntries(Object.entries(parts).filter(([id]) => !id.startsWith(OSLS_BUCKET)));
  const template = {
    ...packaged,
    Parameters: { ...PARAMETERS, ...packaged.Parameters },
    Rules: RULES,
    Resources: structuredClone(own(packaged.Resources)),
    Outputs: own(packaged.Outputs),
  };
  for (const { Type, Properties } of Object.values(template.Resources)) {
    const { S3Key } = (Properties.Code ?? {}) as { S3Key?: string };
    if (Type !== 'AWS::Lambda::Function' || S3Key === undefined) continue;
    const key = `${CODE_KEY}${keyOf(S3Key.split('/').at(-1) ?? '')}`;
    Properties.Code = { S3Bucket: { Ref: 'ArtifactBucket' }, S3Key: { 'Fn::Sub': key } };
  }
  if (JSON.stringify(template).includes(OSLS_BUCKET)) {
    throw new Error(`the packaged template still refers to ${OSLS_BUCKET}; fix infra/template.ts`);
  }
  return template;
}

/** The file names of the zip files of a deployable template, which are their keys without the prefix. */
export function zipsOf({ Resources }: Template): string[] {
  return Object.values(Resources).flatMap(({ Properties }) => {
    const code = Properties?.Code as { S3Key?: { 'Fn::Sub'?: string } } | undefined;
    return code?.S3Key?.['Fn::Sub']?.slice(CODE_KEY.length) ?? [];
  });
}

const NAMED_BY_HASH = /-[0-9a-f]{64}\.zip$/;

/**
 * Writes `template.json` and the zip files of the functions, each named by its SHA-256.
 *
 * @param from the folder that osls packaged into
 * @param to the folder for the files; zip files of an earlier packaging are deleted
 */
export function writeDeployable(from: string, to: string): void {
  const packaged = readFileSync(join(from, 'cloudformation-template-update-stack.json'), 'utf8');
  const template = deployableTemplate(JSON.parse(packaged), (zip) => {
    const hash = createHash('sha256').update(readFileSync(join(from, zip)));
    return zip.replace(/\.zip$/, `-${hash.digest('hex')}.zip`);
  });
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(to).filter((name) => NAMED_BY_HASH.test(name))) rmSync(join(to, file));
  for (const zip of zipsOf(template)) copyFileSync(join(from, zip.replace(NAMED_BY_HASH, '.zip')), join(to, zip));
  writeFileSync(join(to, 'template.json'), `${JSON.stringify(template, null, 2)}\n`);
}
