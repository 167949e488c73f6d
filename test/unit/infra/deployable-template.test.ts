import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deployableTemplate, type Template, writeDeployable } from '../../../infra/template.ts';

const BUCKET = { Ref: 'ServerlessDeploymentBucket' };

/** A template as osls packages it. */
const packaged: Template = {
  Description: 'a stack',
  Resources: {
    ServerlessDeploymentBucket: { Type: 'AWS::S3::Bucket', Properties: {} },
    ServerlessDeploymentBucketPolicy: { Type: 'AWS::S3::BucketPolicy', Properties: { Bucket: BUCKET } },
    ReapLambdaFunction: {
      Type: 'AWS::Lambda::Function',
      Properties: { MemorySize: 512, Code: { S3Bucket: BUCKET, S3Key: 'serverless/service/live/179-2026/reap.zip' } },
      Metadata: { checkov: {} },
    },
    InlineFunction: { Type: 'AWS::Lambda::Function', Properties: { Code: { ZipFile: 'exports.handler = () => {}' } } },
    Queue: { Type: 'AWS::SQS::Queue', Properties: { DelaySeconds: 15 } },
  },
  Parameters: { Mine: { Type: 'String' } },
  Outputs: { ServerlessDeploymentBucketName: { Value: BUCKET }, Mine: { Value: 'x' } },
};

const template = deployableTemplate(packaged, (zip) => `named-${zip}`);

describe('the deployable template', () => {
  it('takes the code from its parameters, and removes the bucket of osls', () => {
    expect(template).toEqual({
      Description: 'a stack',
      Parameters: { ArtifactBucket: expect.any(Object), ArtifactPrefix: expect.any(Object), Mine: { Type: 'String' } },
      Rules: { SubnetsHaveSecurityGroups: expect.any(Object), SecurityGroupsHaveSubnets: expect.any(Object) },
      Resources: {
        ReapLambdaFunction: {
          Type: 'AWS::Lambda::Function',
          Properties: {
            MemorySize: 512,
            Code: { S3Bucket: { Ref: 'ArtifactBucket' }, S3Key: { 'Fn::Sub': `${'$'}{ArtifactPrefix}named-reap.zip` } },
          },
          Metadata: { checkov: {} },
        },
        InlineFunction: packaged.Resources.InlineFunction,
        Queue: packaged.Resources.Queue,
      },
      Outputs: { Mine: { Value: 'x' } },
    });
  });

  it('is written with its zip files, and replaces those of an earlier packaging only', () => {
    const from = mkdtempSync(join(tmpdir(), 'packaged-'));
    const to = join(from, 'dist');
    const write = (zip: string) => {
      writeFileSync(join(from, 'reap.zip'), zip);
      writeDeployable(from, to);
      return readdirSync(to).toSorted();
    };
    writeFileSync(join(from, 'cloudformation-template-update-stack.json'), JSON.stringify(packaged));
    // The SHA-256 of each text.
    const first = 'reap-a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e.zip';
    const second = 'reap-16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4.zip';
    expect(write('first')).toEqual([first, 'template.json']);
    writeFileSync(join(to, 'notes.zip'), 'mine');
    expect(write('second')).toEqual(['notes.zip', second, 'template.json']);
    rmSync(from, { recursive: true });
  });

  it('is rejected where something else refers to the bucket of osls', () => {
    const Queue = { Type: 'AWS::SQS::Queue', Properties: { QueueName: BUCKET } };
    const wrong = { ...packaged, Resources: { ...packaged.Resources, Queue } };
    expect(() => deployableTemplate(wrong, (zip) => zip)).toThrow('still refers to ServerlessDeploymentBucket');
  });

  it('accepts folders with a trailing slash as the prefix, or none', () => {
    const pattern = new RegExp(template.Parameters?.ArtifactPrefix?.AllowedPattern ?? '');
    const prefixes = ['', 'envoy-hpa-reaper/', 'a/b.c/d_e/'];
    expect([...prefixes, 'a', '/', 'a//', 'a b/'].filter((prefix) => pattern.test(prefix))).toEqual(prefixes);
  });
});
